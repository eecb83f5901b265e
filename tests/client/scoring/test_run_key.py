"""What tells two runs apart is said in words, with the way to go on."""

from pathlib import Path
from typing import Any

import pytest
from stub_engine import StubEngine, fingerprint, rows_of, run

from client.api.errors import ClientError
from client.scoring.run_key import key_differences

LOCAL = {
    "catalogue": "0a1b",
    "columns": ["image", "text", None],
    "model": "late",
    "version": "1.0",
    "archive": "67fb",
    "answered_by": "the archive itself",
    "top_k": None,
}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"answered_by": "a server"}, ["answered by: the archive itself there, a server now"]),
        ({"catalogue": "2c3d"}, ["the catalogue is another one or has changed"]),
        ({"columns": ["photo", "text", "sku"]}, ["columns: image, text there, photo, text, sku now"]),
        ({"top_k": 3}, ["--top-k: the model's default there, 3 now"]),
        ({"archive": "89ab"}, ["the archive has the same model and version but another content"]),
        ({"archive": "89ab", "version": "2.0"}, ["version: 1.0 there, 2.0 now"]),
        ({"archive": "89ab", "model": "text"}, ["model: late there, text now"]),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_every_choice_has_its_words(changed: dict[str, Any], told: list[str]) -> None:
    assert key_differences(LOCAL, {**LOCAL, **changed}) == told


def test_a_run_of_an_earlier_version_says_what_it_did_not_record() -> None:
    earlier = {name: value for name, value in LOCAL.items() if name != "answered_by"}
    assert key_differences(earlier, LOCAL) == ["answered by: not recorded there, the archive itself now"]


def test_another_run_starts_anew_where_it_is_told_to(catalogue: Path, tmp_path: Path) -> None:
    """A complete run and an interrupted one are replaced alike."""
    run(catalogue, tmp_path / "whole", StubEngine(), top_k=3)
    run(catalogue, tmp_path / "done", StubEngine())
    with pytest.raises(KeyboardInterrupt):
        run(catalogue, tmp_path / "half", StubEngine(stop_after=20))
    for name in ("done", "half"):
        with pytest.raises(ClientError, match=r"Choose another folder with --out, or start anew .* with --replace"):
            run(catalogue, tmp_path / name, StubEngine(), top_k=3)
        run(catalogue, tmp_path / name, anew := StubEngine(), top_k=3, replace=True)
        assert anew.asked and fingerprint(tmp_path / name) == fingerprint(tmp_path / "whole")


def test_nothing_of_anybody_else_is_replaced(catalogue: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "predictions.csv").write_text("mine\n")
    with pytest.raises(ClientError, match="contains other files"):
        run(catalogue, tmp_path / "out", StubEngine(), replace=True)
    assert rows_of(tmp_path / "out" / "predictions.csv") == []
