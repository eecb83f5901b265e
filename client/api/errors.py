"""What a client can be told: one base error, whose text is a sentence for the person who reads it."""

from typing import Any

INVALID_TOKEN = "InvalidKeyException"
_ADVICE = {
    INVALID_TOKEN: "the token in key_file.json is not this server's; give the right one with --key-file",
    "ModelNotFoundException": "`python -m client versions` lists what is registered",
    "ModelVersionNotFoundException": "versions match to the letter; `python -m client versions` lists them",
    "ServiceUnavailableException": "all workers are busy or none is READY; `python -m client ready` tells which",
    "InternalServerException": "logs/model_log.log says why",
    "RequestEntityTooLarge": "the server takes 6.5 MB a request (max_request_size in config.properties)",
}


class ClientError(Exception):
    """Something went wrong that the reader of its text can mend."""


class ServerDown(ClientError):
    """Nothing answers at the address."""


class ServerTimeout(ClientError):
    """No answer came in time."""


class ServerError(ClientError):
    """The server answered with an error.

    Args:
        code: HTTP status, or the product's own code within a batch.
        type: a type of the API, such as ``image_corrupt``, or the name of TorchServe's exception.
        message: what the server said.
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
    """The server does not take the token."""
