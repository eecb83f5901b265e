"""Why a picture could not be had."""


class FetchError(Exception):
    """A picture that could not be had.

    Args:
        reason: a stable name, such as ``http_404``.
        detail: for the person who owns the catalogue.
        again: another attempt may succeed.
        wait: seconds that the server asks to wait before; 0 if it asks for nothing.
    """

    def __init__(self, reason: str, detail: str, *, again: bool = False, wait: float = 0.0) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.again = again
        self.wait = wait
