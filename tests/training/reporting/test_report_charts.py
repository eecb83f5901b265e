"""Charts with known numbers: the drawn values are read back from the figure."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from PIL import Image

from training.reporting.figures import charts as figures
from training.reporting.figures import style
from training.reporting.figures.charts import (
    MATRIX_CLASSES,
    draw_comparison,
    draw_confusion,
    draw_reliability,
    draw_risk_coverage,
)
from training.reporting.figures.style import drawing, fit_text


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure that the charts draw."""
    seen: list[Figure] = []

    @contextmanager
    def kept(path: Path, *, width: float, height: float) -> Iterator[Figure]:
        with drawing(path, width=width, height=height) as figure:
            seen.append(figure)
            yield figure

    monkeypatch.setattr(figures, "drawing", kept)
    return seen


def texts(figure: Figure) -> list[str]:
    return [text.get_text().strip() for axes in figure.axes for text in axes.texts]


def numbers_of(**accuracy: list[float]) -> dict[str, dict[str, dict[str, object]]]:
    """As :class:`ModelComparison` has them; macro-F1 is a tenth lower."""

    def value(runs: list[float]) -> dict[str, object]:
        mean = sum(runs) / len(runs)
        return {"mean": mean, "low": mean - 0.02, "high": mean + 0.02, "runs": runs}

    return {
        name: {"accuracy": value(runs), "macro_f1": value([each - 0.1 for each in runs])}
        for name, runs in accuracy.items()
    }


def test_a_comparison_draws_every_model_and_a_line_from_the_baseline(drawn: list[Figure], tmp_path: Path) -> None:
    numbers = numbers_of(image=[0.7, 0.8], unheard_of=[0.9, 0.9], baseline=[0.85, 0.85], majority=[0.1, 0.1])
    draw_comparison(tmp_path / "comparison.png", numbers)
    accuracy, macro = drawn[0].axes
    assert [label.get_text() for label in accuracy.get_yticklabels()] == ["image", "unheard_of", "TF-IDF + SVM"]
    assert [line.get_xdata()[0] for line in (accuracy.lines[0], macro.lines[0])] == pytest.approx([0.85, 0.75])
    dots = [each for each in accuracy.collections if isinstance(each, PathCollection)]
    means = [each.get_offsets()[0, 0] for each in dots if len(each.get_offsets()) == 1]
    assert means == pytest.approx([0.75, 0.9, 0.85])


def test_a_matrix_holds_counts_and_shares(drawn: list[Figure], tmp_path: Path) -> None:
    counts = np.array([[2, 1, 0], [0, 1, 0], [1, 0, 0]])
    draw_confusion(tmp_path / "few.png", counts, ["a", "b", "c"])
    axes = drawn[0].axes[0]
    assert np.allclose(axes.images[0].get_array(), [[2 / 3, 1 / 3, 0], [0, 1, 0], [1, 0, 0]])
    assert texts(drawn[0]) == ["2", "1", "1", "1"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]


def test_a_matrix_of_some_classes_has_a_column_for_the_others(drawn: list[Figure], tmp_path: Path) -> None:
    draw_confusion(tmp_path / "some.png", np.array([[8, 1, 1], [0, 3, 0]]), ["a", "b"])
    axes = drawn[0].axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "any other"]
    assert np.allclose(axes.images[0].get_array(), [[0.8, 0.1, 0.1], [0, 1, 0]])


def test_a_matrix_of_long_names_stays_within_bounds(tmp_path: Path) -> None:
    names = [f"{number} " + "long name " * 9 for number in range(MATRIX_CLASSES)]
    draw_confusion(tmp_path / "long.png", np.eye(MATRIX_CLASSES, dtype=np.int64), names)
    with Image.open(tmp_path / "long.png") as picture:
        assert max(picture.size) < 2200


def two_models() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Forty answers with a score of .9 of which thirty-six are right, and two with .6 of which none is."""
    probabilities = np.array([[0.9, 0.1]] * 40 + [[0.6, 0.4]] * 2)
    truth = np.array([0] * 36 + [1] * 6)
    return {"image": (probabilities, truth), "another": (probabilities[:40], truth[:40])}


def test_reliability_puts_every_bin_at_its_accuracy(drawn: list[Figure], tmp_path: Path) -> None:
    draw_reliability(tmp_path / "reliability.png", two_models())
    few, many = drawn[0].axes[0].collections[0], drawn[0].axes[0].collections[2]
    assert np.allclose(few.get_offsets(), [[0.6, 0]])
    assert np.allclose(many.get_offsets(), [[0.9, 0.9]])
    assert drawn[0].axes[0].get_title(loc="left") == f"image   ECE {2 / 42 * 0.6:.3f}"
    assert drawn[0].axes[1].get_title(loc="left") == "another   ECE 0.000"


def test_risk_grows_with_coverage_and_stays_in_the_picture(drawn: list[Figure], tmp_path: Path) -> None:
    draw_risk_coverage(tmp_path / "risk.png", two_models())
    axes = drawn[0].axes[0]
    image = axes.lines[0]
    assert np.asarray(image.get_ydata())[[39, 41]] == pytest.approx([0.1, 6 / 42])
    assert axes.get_ylim()[1] > 6 / 42
    assert [label.get_text().split()[0] for label in axes.get_legend().get_texts()] == ["image", "another"]


def test_a_text_that_fits_is_left_alone_and_a_long_one_is_broken_and_cut() -> None:
    assert fit_text("Running Shoe", width=2, size=8) == "Running Shoe"
    broken = fit_text("Puma Men Blue Running Shoes With Laces", width=1.2, size=8, lines=2)
    first, second = broken.split("\n")
    assert first == "Puma Men Blue" and second.startswith("Running") and second.endswith("…")
    assert fit_text("x" * 10_000, width=1, size=8, lines=2).endswith("x…")
    assert fit_text("  spaces \n and\tlines ", width=3, size=8) == "spaces and lines"
    assert fit_text("", width=1, size=8) == ""


@pytest.mark.parametrize("width", [0.5, 1.0, 1.7])
def test_every_line_is_as_narrow_as_asked(width: float) -> None:
    text = "Wide WWW words, iii narrow ones and Pneumonoultramicroscopicsilicovolcanoconiosis"
    for line in fit_text(text, width=width, size=8, lines=3).split("\n"):
        assert style._text_width(line, size=8, bold=False) <= width


def test_drawing_leaves_the_settings_of_others_alone_and_nothing_behind_an_error(tmp_path: Path) -> None:
    before, backend = dict(mpl.rcParams), mpl.get_backend()
    with pytest.raises(ZeroDivisionError), drawing(tmp_path / "half.png", width=1, height=1):
        raise ZeroDivisionError
    with drawing(tmp_path / "whole.png", width=1, height=1) as figure:
        figure.text(0.5, 0.5, "鞋 $x_$ 👟")
    assert dict(mpl.rcParams) == before and mpl.get_backend() == backend
    assert [path.name for path in tmp_path.iterdir()] == ["whole.png"]
