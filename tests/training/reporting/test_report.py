"""Reports of hand-written runs: numbers, sentences, figures, and notes on missing files."""

import contextlib
import io
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image
from written_run import LABELS, MODELS, TEST, write_catalogue, write_run

from training.__main__ import main
from training.reporting.figures import style
from training.reporting.report import default_folder, write_report
from training.run.checkpoint import RunError

FIGURES = [
    *("comparison", "risk-coverage", "reliability", "predictions", "confusion", "misclassified"),
    *("attention", "architectures"),
]
WRONG = {"image": [0, 1, 2], "text": [3], "early": [3], "baseline": [0, 1]}


@pytest.fixture(scope="module", autouse=True)
def coarse_figures() -> Iterator[None]:
    """A third of the pixels in half of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "RESOLUTION", 60)
        yield


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalogue(tmp_path_factory.mktemp("shop"), products=30)


@pytest.fixture
def run(tmp_path: Path, catalogue: Path) -> Path:
    return write_run(tmp_path / "runs" / "shop", catalogue, wrong=WRONG)


class Written(NamedTuple):
    """A run whose report was written, and what was printed meanwhile."""

    run: Path
    report: Path
    printed: str


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, catalogue: Path) -> Written:
    run = write_run(tmp_path_factory.mktemp("runs") / "shop", catalogue, wrong=WRONG)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        report = write_report([run])
    return Written(run, report, printed.getvalue())


def markdown_of(report: Path) -> str:
    """The same report as Markdown."""
    return report.with_suffix(".md").read_text(encoding="utf-8")


def figures_of(report: Path) -> list[str]:
    """Links of the Markdown, each opened as a picture of a sensible size."""
    links = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", markdown_of(report))
    for link in links:
        with Image.open(report.parent / link) as picture:
            picture.verify()
            assert min(picture.size) > 100, link
    return [link.removeprefix("figures/").removesuffix(".png") for link in links]


def test_the_table_holds_the_numbers_of_every_model(written: Written, read_json: Callable[[Path], Any]) -> None:
    text, numbers = markdown_of(written.report), read_json(written.run / "report.json")["models"]
    assert list(numbers) == [*MODELS, "baseline", "majority"]
    expected = {"image": 9 / 12, "text": 11 / 12, "intermediate": 1, "baseline": 10 / 12, "majority": 4 / 12}
    for name, accuracy in expected.items():
        value = numbers[name]["accuracy"]
        assert (value["mean"], value["std"], value["runs"]) == (pytest.approx(accuracy), None, [accuracy])
        assert value["low"] <= accuracy <= value["high"]
    for place in (text, written.printed):
        assert re.search(r"^\| image +\| +75\.0 \| +\d+\.\d … \d+\.\d \| ", place, re.MULTILINE)
        assert re.search(r"^\| TF-IDF \+ SVM +\| +83\.3 \| ", place, re.MULTILINE)


def test_every_figure_is_linked_and_opens(written: Written, read_json: Callable[[Path], Any]) -> None:
    assert written.report == written.run / "report.html"
    assert figures_of(written.report) == FIGURES
    recorded = sorted(read_json(written.run / "report.json")["figures"])
    assert sorted(path.name for path in (written.run / "figures").iterdir()) == recorded


def test_notes_are_printed(written: Written) -> None:
    assert "against TF-IDF + linear SVM on the title: tie: " in written.printed
    assert "Few test products: each one counts for 8.3 points" in written.printed
    assert "Plain split" not in written.printed and "the means mix" not in written.printed


def test_several_runs_show_mean_spread_and_one_verdict(
    run: Path, catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], read_json: Callable[[Path], Any]
) -> None:
    arguments = {"image_fit": "pad", "image_size": 224, "text_encoder": "minilm", "seed": 1}
    second = write_run(tmp_path / "second", catalogue, wrong={"image": list(range(TEST))}, seed=1, arguments=arguments)
    report = write_report([run, second], out=tmp_path / "both")
    values = read_json(tmp_path / "both" / "report.json")
    image = values["models"]["image"]["accuracy"]
    assert (image["mean"], image["runs"]) == (0.375, [0.75, 0])
    assert image["std"] == pytest.approx(0.75 / 2**0.5)
    pair = next(each for each in values["verdicts"] if (each["model"], each["other"]) == ("intermediate", "image"))
    assert pair["accuracy"]["runs"] == [0.25, 1.0] and pair["accuracy"]["verdict"] == "better"
    text = markdown_of(report)
    assert "37.5 ± 53.0" in text and "each of 2 runs" in text
    assert "shop: 2026" in text and "second: 2026" in text
    assert figures_of(report) == FIGURES and not (run / "figures").exists()
    assert "the means mix" not in capsys.readouterr().out


def test_runs_that_differ_and_a_plain_split_are_named(
    run: Path, catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = {"kind": "stratified", "hash": "0", "train": 18, "validation": 1, "test": 1}
    changes = {
        "split": split,
        "arguments": {"image_size": 160, "image_fit": "squash", "text_encoder": "bert", "seed": 1},
    }
    labels = ("Hats", "Shoes", "Shirts", "Bags")
    second = write_run(tmp_path / "second", catalogue, labels=labels, wrong=WRONG, **changes)
    report = write_report([run, second], out=tmp_path / "both")
    printed = capsys.readouterr().out
    assert "These runs differ in image_fit, image_size, text_encoder" in printed
    assert "Plain split" in printed
    assert "confusion" in figures_of(report)  # over the classes of both


def test_runs_on_fewer_products_are_in_the_learning_curve_only(
    run: Path, catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], read_json: Callable[[Path], Any]
) -> None:
    split = {"kind": "grouped", "hash": "0", "train": 9, "validation": 1, "test": 1}
    report = write_report(
        [write_run(tmp_path / "less", catalogue, wrong=WRONG, split=split), run], out=tmp_path / "both"
    )
    assert "Runs on fewer products are in the learning curve only: 1." in capsys.readouterr().out
    assert [each["name"] for each in read_json(tmp_path / "both" / "report.json")["runs"]] == ["shop"]
    assert "learning" in figures_of(report)


def test_without_its_catalogue_a_report_says_so(tmp_path: Path, catalogue: Path) -> None:
    run = write_run(tmp_path / "run", catalogue, source={"path": str(tmp_path / "gone_for_good.csv")})
    report = write_report([run])
    text = markdown_of(report)
    assert "The catalogue cannot be read" in text and "gone\\_for\\_good.csv" in text
    assert figures_of(report) == ["comparison", "risk-coverage", "reliability", "confusion", "architectures"]


def test_pictures_that_are_gone_or_broken_leave_the_rest(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "shop", products=30)
    run = write_run(tmp_path / "run", catalogue, wrong=WRONG)
    shutil.rmtree(catalogue.parent / "images")
    (catalogue.parent / "images").mkdir()
    (catalogue.parent / "images" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    assert "predictions" in figures_of(write_report([run]))


def test_titles_and_labels_of_any_kind_are_drawn_and_written(tmp_path: Path) -> None:
    titles = {
        0: "$5 & $10 <b>bags</b>",
        1: "",
        2: "靴 скидка 👟 \u062d\u0630\u0627\u0621",
        3: "x" * 400,
        4: "tab\tand\nline",
    }
    catalogue = write_catalogue(tmp_path / "shop", products=30, titles=titles)
    table = catalogue.read_text(encoding="utf-8").replace("Shirts", "Sh|rts `<i>` $a_b$").replace("Shoes", "鞋" * 40)
    catalogue.write_text(table, encoding="utf-8")
    labels = ("Bags", "Sh|rts `<i>` $a_b$", "鞋" * 40)
    run = write_run(tmp_path / "run", catalogue, wrong={"intermediate": range(5)}, labels=labels, target="a|b_c")
    report = write_report([run])
    assert set(figures_of(report)) == {*FIGURES, "confused-classes", "suspected-labels"}
    assert "# a\\|b\\_c: " in markdown_of(report)


def test_single_models_without_an_error_are_reported_in_sentences(tmp_path: Path, catalogue: Path) -> None:
    report = write_report([write_run(tmp_path / "run", catalogue, models=("image", "text"))])
    text = markdown_of(report)
    assert "with the answers of the text model" in text and "All answers of all models are right." in text
    assert figures_of(report) == ["comparison", "risk-coverage", "reliability", "predictions", "confusion"]


def test_a_report_goes_into_its_run_or_beside_its_runs(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    assert default_folder([runs / "shop"]) == runs / "shop"
    assert default_folder([runs / "a", runs / "b"]) == runs / "report"
    assert default_folder([runs / "shop" / "fold-1", runs / "shop" / "fold-2"]) == runs / "shop" / "report"
    assert default_folder([runs / "a" / "seed-1", runs / "b" / "seed-1"]) == runs / "report"
    assert default_folder([Path("a"), Path("b")]) == Path("report").absolute()


def test_runs_that_would_count_twice_or_have_no_place_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="named twice"):
        default_folder([tmp_path / "a", tmp_path / "b", tmp_path / "c" / ".." / "a"])
    with pytest.raises(RunError, match="--out"):
        default_folder([Path("/here/a"), Path("/there/b")])


def test_an_incomplete_run_is_a_sentence(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "run.json").unlink()
    assert main(["report", str(run)]) == 1
    assert "holds no run" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 half of a zip", b"no zip"])
def test_answers_that_cannot_be_read_are_named(run: Path, content: bytes | None) -> None:
    path = run / "late" / "test.npz"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RunError, match=re.escape(str(path))):
        write_report([run])


def test_answers_to_other_products_are_refused(run: Path, catalogue: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", catalogue, labels=tuple(reversed(LABELS)))
    shutil.copy(other / "early" / "test.npz", run / "early" / "test.npz")
    with pytest.raises(RunError, match="other test products"):
        write_report([run])


def test_a_split_that_lacks_products_is_refused(run: Path) -> None:
    lines = (run / "split.csv").read_text(encoding="utf-8").splitlines()
    (run / "split.csv").write_text("\n".join(lines[:1] + lines[2:]), encoding="utf-8")
    with pytest.raises(RunError, match="lacks 1 test products, such as 'p0'"):
        write_report([run])


def test_a_real_run_is_reported_whole(trained_run: Path, tmp_path: Path) -> None:
    report = write_report([trained_run], out=tmp_path)
    assert {"predictions", "attention", "confusion", "architectures"} <= set(figures_of(report))
    assert json.loads((tmp_path / "report.json").read_text())["models"]["late"]["ece"]["mean"] < 1


def test_figures_of_an_earlier_report_go_and_those_of_others_stay(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "figures").mkdir(parents=True)
    for name in ("earlier.png", "own.png"):
        (out / "figures" / name).write_bytes(b"")
    (out / "report.json").write_text(json.dumps({"figures": {"earlier.png": "", "comparison.png": ""}}))
    write_report([run], out=out)
    left = {path.name for path in (out / "figures").iterdir()}
    assert "earlier.png" not in left and {"own.png", "comparison.png"} <= left
