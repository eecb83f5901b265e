"""The peers' lock files: hashes, no addresses, and nothing that the main one has but where that has to be another."""

import re

import pytest

from benchmarks.server.systems.torchserve_config import ROOT

PEERS = ROOT / "benchmarks" / "server" / "peers"
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==", re.MULTILINE)


def test_the_peers_lock_adds_to_the_main_one() -> None:
    own, main = (
        (ROOT / path).read_text(encoding="utf-8")
        for path in ("benchmarks/server/peers/requirements.lock", "requirements.lock")
    )
    assert {"fastapi", "uvicorn", "litserve", "mosec", "bentoml"} <= set(PIN.findall(own))
    assert not set(PIN.findall(own)) & set(PIN.findall(main))


def test_triton_has_the_numpy_that_its_backend_was_compiled_against() -> None:
    text = (PEERS / "triton.lock").read_text(encoding="utf-8")
    assert "nvidia-pytriton" in PIN.findall(text) and re.search(r"^numpy==1\.", text, re.MULTILINE)


@pytest.mark.parametrize("path", ["requirements.lock", "triton.lock"])
def test_every_package_of_it_has_hashes_and_no_address(path: str) -> None:
    text = (PEERS / path).read_text(encoding="utf-8")
    entries = text.replace("\\\n", " ").splitlines()
    assert all("--hash=sha256:" in entry for entry in entries if entry and not entry.startswith("#"))
    assert "://" not in text and "--index" not in text
