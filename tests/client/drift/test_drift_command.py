"""``client drift`` as cron calls it: what it prints, and its exit status."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from test_drift_counters import row, write_scores

from client.__main__ import main
from handlers.product_serving.metrics import SCORE_BOUNDS

LABELS = ("Bags", "Shoes")


def reference(products: int = 1000) -> dict[str, Any]:
    scores = [0] * len(SCORE_BOUNDS)
    scores[6] = products
    return {
        "products": products,
        "labels": dict.fromkeys(LABELS, products / 2),
        "scores": scores,
        "modalities": {"both": products},
        "unsure": 0,
        "conflicts": {"pairs": products, "flagged": 15},
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run whose model answered half of the validation part with each class."""
    folder = tmp_path / "run"
    (folder / "late").mkdir(parents=True)
    for name, value in (("run.json", {}), ("late/settings.json", {}), ("late/reference.json", reference())):
        (folder / name).write_text(json.dumps(value))
    return folder


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Of a server that does not run."""
    path = tmp_path / "config.properties"
    path.write_text("metrics_address=http://127.0.0.1:1\n")
    return path


def scores(folder: Path, *, bags: int, shoes: int) -> str:
    return str(write_scores(folder, [row(label="Bags")] * bags + [row(label="Shoes")] * shoes))


def drift(config: Path, *arguments: object) -> int:
    return main(["--config", str(config), "drift", "--model", "late", *map(str, arguments)])


def test_steady_answers_have_the_status_0(
    config: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drift(config, scores(tmp_path / "scores", bags=510, shoes=490), "--reference", run) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"reference: 1,000 validation products of {run / 'late'}"
    assert said[1] == f"now: 1,000 products of {tmp_path / 'scores'} (late 2.0)"
    assert said[-1] == "steady: labels, scores, modalities, unsure, conflicts are as on validation"


def test_moved_answers_have_the_status_1(
    config: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = scores(tmp_path / "scores", bags=800, shoes=200)
    assert drift(config, place, "--reference", run) == 1
    said = capsys.readouterr().out.splitlines()
    assert "labels: moved, PSI 0.41 (by chance 0.00): Shoes 50.0 -> 20.0 %, Bags 50.0 -> 80.0 %" in said
    assert said[-1].startswith("moved: labels (Shoes 50.0 -> 20.0 %, Bags 50.0 -> 80.0 %). Next: the mix")
    assert drift(config, place, "--reference", run, "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["moved"] == ["labels"] and document["sentence"] == said[-1]
    assert document["figures"]["labels"]["changes"]["Bags"] == {"before": 0.5, "now": 0.8}


def test_an_archive_carries_the_reference(config: Path, tmp_path: Path) -> None:
    archive = tmp_path / "late-2.0.mar"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": {"modelName": "late", "modelVersion": "2.0"}}))
        content.writestr("manifest.json", json.dumps({"reference": reference()}))
    assert drift(config, scores(tmp_path / "scores", bags=500, shoes=500), "--reference", archive) == 0


def test_what_is_not_judged_has_the_status_2(
    config: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = scores(tmp_path / "few", bags=200, shoes=10)
    other = tmp_path / "old.mar"
    with zipfile.ZipFile(other, "w") as content:
        content.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": {"modelName": "late", "modelVersion": "2.0"}}))
        content.writestr("manifest.json", "{}")
    for arguments, message in (
        ((few, "--reference", run), f"too few products to judge: {few} (late 2.0) has 210, at least 500 are needed"),
        ((few, "--reference", other), "old.mar carries no reference: it is of an earlier version"),
        ((few, "--reference", tmp_path / "gone"), "gone does not exist: name a run folder, or an archive"),
        ((few, "--reference", config), "is neither a run folder nor an archive"),
        ((few, "--reference", tmp_path), "contains no complete run"),
        ((few, "--reference", run, "--model", "early"), "has no model early; models there: late"),
        ((tmp_path, "--reference", run), "holds no scored catalogue"),
    ):
        assert drift(config, *arguments) == 2
        assert f"{message}" in capsys.readouterr().err
    assert drift(config, few, "--reference", run, "--least", 100) == 1
    (run / "late" / "reference.json").write_text('{"products": 3}')
    assert drift(config, few, "--reference", run) == 2
    assert "reference.json is damaged (KeyError: 'scores')" in capsys.readouterr().err
    (run / "late" / "reference.json").unlink()
    assert drift(config, few, "--reference", run) == 2
    assert "has no reference.json: it is of an earlier version" in capsys.readouterr().err


def test_a_server_that_does_not_answer_has_the_status_3(config: Path, run: Path) -> None:
    assert drift(config, "--reference", run) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["scores", "--metrics", "m.txt"],
        ["--metrics", "m.txt", "--prometheus", "http://127.0.0.1:9090"],
        ["scores", "--since", "m.txt"],
        ["--window", "1d"],
        ["--prometheus", "http://127.0.0.1:9090", "--window", "a day"],
    ],
)
def test_contradictions_are_wrong_arguments(config: Path, run: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        drift(config, "--reference", run, *arguments)
    assert ended.value.code == 2
