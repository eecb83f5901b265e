"""Means, deviations and verdicts over runs, with known numbers."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from written_run import RECORD_VALUES

from training.reporting.results.model_comparison import compare_models, shared_groups
from training.reporting.results.run_results import ModelAnswers, RunResults, pool_results
from training.run.record import RunRecord

RECORD = RunRecord.from_dict({**RECORD_VALUES, "attributes": {"kind": ["a", "b"]}, "models": ["image", "text"]})


def results(right: list[bool], *, ids: list[str] | None = None, groups: list[int] | None = None) -> RunResults:
    """A run whose image model is right where ``right`` is True; the text model is always right, the baseline never."""
    truth = np.arange(len(right)) % 2
    predicted = np.where(right, truth, 1 - truth)
    answers = {
        "image": ModelAnswers(predicted, np.where(np.eye(2)[predicted] == 1, 0.8, 0.2).astype(np.float32)),
        "text": ModelAnswers(truth, np.eye(2, dtype=np.float32)[truth]),
        "baseline": ModelAnswers(1 - truth),
        "majority": ModelAnswers(np.zeros_like(truth)),
    }
    names = ids or [str(number) for number in range(len(right))]
    return RunResults(Path("run"), RECORD, np.array(names), truth, np.array(groups or range(len(right))), answers)


def test_mean_and_deviation_are_those_of_a_sample() -> None:
    numbers = compare_models([results([True] * 4), results([True, True, True, False])]).numbers
    image = numbers["image"]["accuracy"]
    assert (image["mean"], image["std"], image["runs"]) == (0.875, pytest.approx(0.125 * 2**0.5), [1.0, 0.75])
    assert numbers["majority"]["accuracy"]["mean"] == 0.5
    assert "ece" in numbers["text"] and "ece" not in numbers["baseline"]


def test_one_run_has_no_deviation() -> None:
    assert compare_models([results([True] * 4)]).numbers["image"]["accuracy"]["std"] is None


def test_every_pair_is_judged_once_and_the_baseline_comes_second() -> None:
    pairs = compare_models([results([True] * 20 + [False] * 20)]).verdicts
    assert [(pair["model"], pair["other"]) for pair in pairs] == [
        ("text", "image"),
        ("text", "baseline"),
        ("image", "baseline"),
    ]
    assert [pair["accuracy"]["mean"] for pair in pairs] == [0.5, 1.0, 0.5]
    assert {pair["macro_f1"]["verdict"] for pair in pairs} == {"better"}


def test_groups_with_a_product_in_common_are_one_across_runs() -> None:
    first = results([True] * 4, ids=["a", "b", "c", "d"], groups=[5, 5, 6, 7])
    second = results([True] * 3, ids=["x", "b", "d"], groups=[0, 0, 1])
    one, two = shared_groups([first, second])
    assert one[0] == one[1] == two[0] == two[1]  # a, b with x
    assert one[3] == two[2]  # d
    assert len({one[0], one[2], one[3]}) == 3


def test_a_second_seed_on_the_same_products_does_not_narrow_the_interval_like_new_ones() -> None:
    right = (np.random.default_rng(0).random(120) < 0.8).tolist()
    same = results(right)
    new = dataclasses.replace(same, ids=np.array([f"new {name}" for name in same.ids]))
    widths = []
    for runs in ([same], [same, same], [same, new]):
        judged = next(pair for pair in compare_models(runs).verdicts if pair["other"] == "image")["accuracy"]
        widths.append(judged["high"] - judged["low"])
    assert widths[1] == pytest.approx(widths[0])
    assert widths[2] < 0.8 * widths[0]


def test_models_that_not_every_run_has_are_left_out() -> None:
    first, second = results([True] * 4), results([True] * 4)
    del second.answers["image"]
    assert "image" not in compare_models([first, second]).numbers
    assert "image" not in pool_results([first, second]).answers


def test_pooled_classes_keep_their_names() -> None:
    first = results([True, False])
    second = dataclasses.replace(results([True, True]), record=RECORD.with_labels(["b", "c"]))
    pooled = pool_results([first, second])
    assert pooled.labels == ("a", "b", "c")
    assert [pooled.labels[row] for row in pooled.truth] == ["a", "b", "b", "c"]
    assert [pooled.labels[row] for row in pooled.answers["image"].predicted] == ["a", "a", "b", "c"]
    probabilities = pooled.answers["image"].probabilities
    assert probabilities is not None
    assert probabilities[2].tolist() == pytest.approx([0, 0.8, 0.2])
