"""Signed archives: with a trusted key, an unsigned, changed or foreign one is refused before anything of it runs."""

import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from client.api.errors import ClientError
from client.archives import trust
from client.archives.model_store import ModelStore, identify_archive
from client.archives.trust import TRUSTED_KEY, TrustError
from export.archive import BuildError
from export.signing import Signer


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """Make the private and the public key of a name."""
    folder = tmp_path_factory.mktemp("keys")

    def make(name: str) -> tuple[Path, Path]:
        private, public = folder / f"{name}.pem", folder / f"{name}.pub"
        if not private.exists():
            curve = ("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(private))
            subprocess.run(curve, check=True, capture_output=True)
            public_part = ("openssl", "ec", "-in", str(private), "-pubout", "-out", str(public))
            subprocess.run(public_part, check=True, capture_output=True)
        return private, public

    return make


@pytest.fixture
def store(tmp_path: Path, known_archive: Path, keys: Callable[[str], tuple[Path, Path]]) -> Path:
    """A store with a signed version, which is the default one too."""
    archive = tmp_path / "known-1.0.mar"
    shutil.copy(known_archive, archive)
    assert Signer(keys("shop")[0])(archive) == tmp_path / "known-1.0.mar.sig"
    (tmp_path / "known.mar").hardlink_to(archive)
    return tmp_path


@pytest.fixture
def trusting(keys: Callable[[str], tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch) -> Path:
    key = keys("shop")[1]
    monkeypatch.setenv(TRUSTED_KEY, str(key))
    return key


def test_without_a_trusted_key_nothing_is_checked(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TRUSTED_KEY, raising=False)
    (store / "known-1.0.mar.sig").write_text("no signature")
    assert identify_archive(store / "known-1.0.mar").version == "1.0"


@pytest.mark.parametrize("name", ["known-1.0.mar", "known.mar"])
def test_a_signed_archive_is_trusted_under_both_names(store: Path, trusting: Path, name: str) -> None:
    assert identify_archive(store / name).model == "known"


def test_an_unsigned_archive(store: Path, trusting: Path) -> None:
    (store / "known-1.0.mar.sig").unlink()
    for use in (lambda: ModelStore(store).loaded(["all"]), lambda: ModelStore(store).version("known", "1.0")):
        with pytest.raises(
            TrustError, match=r"is not signed.*there is no known-1.0.mar.sig.*make archive SIGN=key.pem"
        ):
            use()


def test_a_changed_archive(store: Path, trusting: Path) -> None:
    identify_archive(store / "known.mar")
    with zipfile.ZipFile(store / "known-1.0.mar", "a") as content:
        content.writestr("product_serving/more.py", "print('foreign code')")
    with pytest.raises(TrustError, match=r"known.mar is not trusted.*another content"):
        identify_archive(store / "known.mar")


def test_a_foreign_key(store: Path, trusting: Path, keys: Callable[[str], tuple[Path, Path]]) -> None:
    Signer(keys("stranger")[0])(store / "known-1.0.mar")
    with pytest.raises(TrustError, match="another key"):
        identify_archive(store / "known-1.0.mar")


def test_the_signature_of_another_version(store: Path, trusting: Path, known_archive: Path) -> None:
    with zipfile.ZipFile(known_archive) as content, zipfile.ZipFile(store / "other.mar", "w") as other:
        other.writestr("MAR-INF/MANIFEST.json", content.read("MAR-INF/MANIFEST.json"))
    with pytest.raises(TrustError, match="another content"):
        identify_archive(store / "other.mar")  # it calls itself known 1.0


@pytest.mark.parametrize("forged", [b"", b"{}", b"\xff\xfe", b'{"dsseEnvelope": {"payload": 1}}', b"[" * 100_000])
def test_a_forged_signature(store: Path, trusting: Path, forged: bytes) -> None:
    (store / "known-1.0.mar.sig").write_bytes(forged)
    with pytest.raises(TrustError, match="is not trusted"):
        identify_archive(store / "known-1.0.mar")


def test_a_key_that_is_not_there(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRUSTED_KEY, "/nowhere/shop.pub")
    with pytest.raises(ClientError, match=f"{TRUSTED_KEY}=/nowhere/shop.pub: there is no such file"):
        identify_archive(store / "known.mar")


def test_a_private_key_in_place_of_the_public_one(
    store: Path, keys: Callable[[str], tuple[Path, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRUSTED_KEY, str(keys("shop")[0]))
    with pytest.raises(TrustError, match="is not trusted"):
        identify_archive(store / "known.mar")


def test_each_state_of_the_files_is_verified_once(store: Path, trusting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    identify_archive(store / "known.mar")
    before = trust._verify.cache_info().misses
    identify_archive(store / "known.mar")
    assert trust._verify.cache_info().misses == before


@pytest.mark.parametrize("content", [None, "no key", "public"])
def test_a_key_that_cannot_sign_is_refused_before_the_export(
    tmp_path: Path, content: str | None, keys: Callable[[str], tuple[Path, Path]]
) -> None:
    key = tmp_path / "key.pem"
    if content:
        key.write_text(keys("shop")[1].read_text() if content == "public" else content)
    with pytest.raises(BuildError, match=r"is no private key that can sign.*openssl ecparam"):
        Signer(key)
