"""The peers' lock file: hashes, no addresses, and nothing that the main one has."""

import re

from benchmarks.server_config import ROOT

PIN = re.compile(r"^([A-Za-z0-9_.-]+)==", re.MULTILINE)


def test_the_peers_lock_adds_to_the_main_one() -> None:
    own, main = (
        (ROOT / path).read_text(encoding="utf-8") for path in ("benchmarks/requirements.lock", "requirements.lock")
    )
    assert {"aiohttp", "uvloop", "fastapi", "uvicorn", "litserve", "mosec", "bentoml"} <= set(PIN.findall(own))
    assert not set(PIN.findall(own)) & set(PIN.findall(main))


def test_every_package_of_it_has_hashes_and_no_address() -> None:
    text = (ROOT / "benchmarks" / "requirements.lock").read_text(encoding="utf-8")
    entries = text.replace("\\\n", " ").splitlines()
    assert all("--hash=sha256:" in entry for entry in entries if entry and not entry.startswith("#"))
    assert "://" not in text and "--index" not in text
