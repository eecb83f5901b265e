"""Signs archives, so that a server can refuse those of others; :mod:`client.archives.trust` verifies."""

from pathlib import Path

from model_signing import signing

from export.archive import BuildError
from handlers.product_serving.archive import SIGNATURE


class Signer:
    """Signs with one key, in the format of the OpenSSF's model signing.

    Args:
        key: file of a private key on an elliptic curve, in PEM, without a password.

    Raises:
        BuildError: it is none.
    """

    def __init__(self, key: Path) -> None:
        self._config = signing.Config()  # type: ignore[no-untyped-call]
        try:
            self._config.use_elliptic_key_signer(private_key=key)
        except (OSError, ValueError, TypeError) as error:
            raise BuildError(
                f"{key} is no private key that can sign ({error}). Make one: `openssl ecparam -name prime256v1 -genkey "
                "-noout -out key.pem`; its public part: `openssl ec -in key.pem -pubout -out key.pub`"
            ) from error

    def __call__(self, archive: Path) -> Path:
        """Write an archive's signature beside it, and return its path."""
        signature = signature_of(archive)
        self._config.sign(archive, signature)
        return signature


def signature_of(archive: Path) -> Path:
    """Where the signature of an archive lies."""
    return archive.with_name(f"{archive.name}{SIGNATURE}")
