"""Signatures of archives. An archive is code, which a worker runs with the rights of the server.

A signature lies beside its archive, as ``<model>-<version>.mar.sig``, in the format of the OpenSSF's model signing
(https://github.com/sigstore/model-transparency). Only public and private keys on elliptic curves are used: no service.
"""

import functools
import os
from pathlib import Path

from client.api.errors import ClientError
from handlers.product_serving.archive import SIGNATURE

TRUSTED_KEY = "PRODUCT_TRUSTED_KEY"  # the environment variable that names the file of the public key


class TrustError(ClientError):
    """The archive is not signed with the trusted key; nothing of it was run."""


def require_trusted(path: Path, *, model: str, version: str) -> None:
    """Check an archive's signature, if a trusted key is configured.

    Args:
        path: the archive.
        model: its model, as its manifest says.
        version: its version.

    Raises:
        TrustError: the archive is unsigned, was changed, or is signed with another key.
        ClientError: the trusted key cannot be read.
    """
    named = os.environ.get(TRUSTED_KEY)
    if not named:
        return
    key = Path(named)
    if not key.is_file():
        raise ClientError(f"{TRUSTED_KEY}={named}: there is no such file; name the file of the public key")
    own = [path.with_name(f"{name}{SIGNATURE}") for name in (f"{model}-{version}.mar", path.name)]
    signature = next((each for each in own if each.is_file()), None)
    if signature is None:
        raise TrustError(
            f"{path} is not signed, and only archives that are signed with the key of {key} are trusted: there is no "
            f"{own[0].name}. Sign it when it is built (`make archive SIGN=key.pem`), or get its signature"
        )
    _verify(path, signature, key, stamps=tuple(_stamp(each) for each in (path, signature, key)))


@functools.lru_cache(maxsize=256)
def _verify(path: Path, signature: Path, key: Path, *, stamps: tuple[tuple[int, ...], ...]) -> None:
    """Verify once for each state of the three files: an archive is read often, and its checksum takes time.

    Raises:
        TrustError: it is not as it was signed, or not with this key.
    """
    from model_signing import verifying  # noqa: PLC0415

    try:
        verifier = verifying.Config()  # type: ignore[no-untyped-call]
        verifier.use_elliptic_key_verifier(public_key=key).verify(path, signature)
    except Exception as error:  # whatever a forged signature makes the library raise is a reason to refuse
        raise TrustError(
            f"{path} is not trusted: its signature {signature.name} does not hold for the key of {key} "
            f"({_short(error)}). It was changed or comes from elsewhere; nothing of it was run"
        ) from error


def _stamp(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _short(error: Exception) -> str:
    text = str(error)
    if "Hash mismatch" in text:
        return "another content"
    return "another key" if "Key mismatch" in text else type(error).__name__
