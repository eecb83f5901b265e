"""What can be wrong with one product, as one exception that carries its HTTP status and a stable type.

A message names the field and what was expected. It never holds the caller's text, a path or a traceback.
"""

from typing import Any

ERROR_CODES: dict[str, int] = {
    "missing_field": 400,
    "unknown_field": 400,
    "invalid_json": 400,
    "invalid_base64": 400,
    "invalid_text": 400,
    "out_of_range": 400,
    "image_too_large": 413,
    "text_too_long": 413,
    "too_many_instances": 413,
    "unsupported_image": 415,
    "image_corrupt": 422,
    "image_empty": 422,
    "image_bad_shape": 422,
    "model_output_invalid": 500,
    "explanations_unavailable": 501,
    "out_of_memory": 507,
}


class ProductError(ValueError):
    """One product cannot be answered.

    Args:
        type: a key of ``ERROR_CODES``.
        message: for the caller: the field, and what was expected.
    """

    def __init__(self, type: str, message: str) -> None:
        super().__init__(message)
        self.type = type
        self.code = ERROR_CODES[type]
        self.message = message

    def as_dict(self) -> dict[str, Any]:
        """The error as the answer's JSON object."""
        return {"code": self.code, "type": self.type, "message": self.message}
