"""Errors of the client: one base class, whose text is a sentence that a user can act on."""

from typing import Any

INVALID_TOKEN = "InvalidKeyException"
_ADVICE = {
    INVALID_TOKEN: "the token in key_file.json belongs to another server; name the right file with --key-file",
    "ModelNotFoundException": "`python -m client versions` lists the registered models",
    "ModelVersionNotFoundException": "versions have to match exactly; `python -m client versions` lists them",
    "ServiceUnavailableException": "all workers are busy or none is READY; check with `python -m client ready`",
    "InternalServerException": "logs/model_log.log gives the reason",
    "RequestEntityTooLarge": "a request may have at most 6.5 MB; `python -m client predict --shrink` sends less",
    "image_too_large": "`python -m client predict --shrink` sends it smaller",
}


class ClientError(Exception):
    """An error that the user can fix; its text says how."""


class ServerDown(ClientError):
    """Nothing answers at the address."""


class ServerTimeout(ClientError):
    """No answer came in time."""


class ServerError(ClientError):
    """The server answered with an error.

    Args:
        code: HTTP status, or the code of one product in a batch.
        type: an error type of the API, such as ``image_corrupt``, or the name of TorchServe's exception.
        message: the server's message.
    """

    def __init__(self, code: int, type: str, message: str) -> None:
        self.code = code
        self.type = type
        self.message = message
        advice = _ADVICE.get(type)
        super().__init__(f"{message.rstrip('.')} ({type}, {code})" + (f"; {advice}" if advice else ""))

    def as_dict(self) -> dict[str, Any]:
        """The error as the server's JSON object."""
        return {"code": self.code, "type": self.type, "message": self.message}


class TokenError(ServerError):
    """The server refuses the token."""
