"""A whole run on the drawn catalogue: what it leaves, that it resumes, and that equal options give equal results."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from training.data.splits import split_hash
from training.evaluation.evaluate import evaluate_run
from training.fit import loop
from training.models import MODELS
from training.models.weights.weights_file import WeightsError
from training.pipeline import training_run as pipeline
from training.run.checkpoint import RunError, load_model
from training.run.data import open_products, prepare
from training.run.options import TrainOptions

Options = Callable[..., TrainOptions]


def answers(run: Path, model: str) -> Any:
    return np.load(run / model / "test.npz")["probabilities"]


def test_a_run_leaves_all_that_others_read(trained_run: Path, read_json: Callable[[Path], Any]) -> None:
    run = trained_run
    record = read_json(run / "run.json")
    assert record["models"] == list(MODELS)
    assert record["products"]["read"] == record["products"]["used"] + record["products"]["rejected"]
    split = pd.read_csv(run / "split.csv", dtype=str, keep_default_na=False)
    assert record["split"]["hash"] == split_hash(split)
    [(target, labels)] = record["attributes"].items()
    assert target == "label" and len(labels) == 10 and record["hierarchies"] == []
    assert 0.1 < record["peak_memory_gib"] < 100
    for name in MODELS:
        model, settings = load_model(run / name)
        saved = np.load(run / name / "test.npz")
        assert saved["probabilities"].shape == (record["split"]["test"], len(labels))
        assert saved["truth"].shape == (record["split"]["test"], 1)
        np.testing.assert_allclose(saved["probabilities"].sum(1), 1, rtol=1e-5)
        assert sorted(saved["ids"]) == sorted(split.loc[split["part"] == "test", "id"])
        assert (settings.target, settings.labels) == (target, tuple(labels))
        assert not model.training
        assert record["metrics"][name][target]["accuracy"] == pytest.approx(
            (saved["probabilities"].argmax(1) == saved["truth"][:, 0]).mean()
        )
    attention = np.load(run / "intermediate" / "attention.npz")
    np.testing.assert_allclose(attention["weights"].sum(2), 1, rtol=1e-4)
    assert (attention["tokens"][:, 0] == "[none]").all() and (attention["tokens"][:, 1] == "[CLS]").all()


def test_a_model_of_two_modalities_is_also_calibrated_for_each_one(trained_run: Path) -> None:
    for name in MODELS:
        _, settings = load_model(trained_run / name)
        assert tuple(each.modality for each in settings.one_modality) == (
            settings.modalities if len(settings.modalities) > 1 else ()
        )
    # Late fusion gets calibrated logits for a product with a picture alone. On few products the prior keeps that
    # temperature from its optimum, and the second temperature moves further towards it, but less far.
    alone, _ = load_model(trained_run / "late")[1].one_modality
    own = np.log(load_model(trained_run / "image")[1].main.temperature)
    assert alone.modality == "image" and min(0, own) - 0.02 <= np.log(alone.temperatures[0]) <= max(0, own) + 0.02


def test_a_cross_fitted_run_trains_everything_and_repeats_itself(options: Options, trained_run: Path) -> None:
    choices = {"cross_fit": 2, "damage_titles": 0.5, "split": "grouped", "models": (*MODELS, "gated", "single_key")}
    first, again = (pipeline.train_run(options(**choices)) for _ in range(2))
    for name in choices["models"]:
        np.testing.assert_array_equal(answers(again, name), answers(first, name))
    stages = {path.stem for path in (first / "state").glob("*fold*.safetensors")}
    heads = {f"{modality}-fold-{part}-head" for modality in ("image", "text") for part in (1, 2)}
    assert stages == heads | {f"{tower}-fold-{part}" for tower in ("text", "lexical") for part in (1, 2)}
    for run, weighs in ((first, True), (trained_run, False)):  # certainty of rows that were tuned on teaches nothing
        last = load_model(run / "early")[0].head.get_submodule("weights.network.2")
        assert bool(last.get_parameter("weight").any()) is weighs


@pytest.mark.parametrize(
    ("alone", "unavailable"), [("text", {"image_weights": "gone.pth"}), ("image", {"text_encoder": "gone/bert"})]
)
def test_a_model_alone_needs_nothing_of_the_other_modality(
    options: Options, alone: str, unavailable: dict[str, str]
) -> None:
    run = pipeline.train_run(options(models=(alone,), head_epochs=1, **unavailable))
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["models"] == [alone]
    assert {path.parent.name for path in run.glob("*/test.npz")} == {alone, "baseline"}
    metrics = evaluate_run(run, options().source)["models"]
    assert list(metrics) == [alone, "baseline"] and metrics[alone]["accuracy"] > 0


def test_pictures_may_be_read_smaller_first(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    edges = []
    train_epoch = loop.train_epoch

    def watched(model: Any, batches: Any, *arguments: Any, **more: Any) -> float:
        batches = list(batches)
        if getattr(model, "image_encoder", None) is not None:
            edges.append(batches[0][0][0].shape[-1])
        return train_epoch(model, batches, *arguments, **more)

    monkeypatch.setattr(loop, "train_epoch", watched)
    choices = {"text_epochs": 0, "head_epochs": 0, "cross_fit": 2, "fusion_epochs": 0, "models": ("early",)}
    pipeline.train_run(options(image_epochs=2, image_sizes=(32, 64), cross_fit_sizes=(32, 48, 96), **choices))
    assert edges == [32, 64, *(32, 48, 96) * 2]


def test_labels_made_wrong_are_wrong_in_training_only(options: Options) -> None:
    data = []
    for noise in (0.0, 0.5):
        chosen = options(label_noise=noise)
        data.append(prepare(chosen, *open_products(chosen)))
    clean, noisy = data
    changed = clean.targets != noisy.targets
    train = clean.rows("train")
    assert changed[train].sum() == round(0.5 * len(train)) == changed.sum()
    assert clean.attributes == noisy.attributes


def test_a_learning_curve_is_measured_on_one_test_part(options: Options) -> None:
    whole, half = (prepare(chosen, *open_products(chosen)) for chosen in (options(), options(train_share=0.5)))
    assert len(half.rows("train")) == pytest.approx(len(whole.rows("train")) / 2, rel=0.1)
    ids = [set(data.products["id"].iloc[data.held_out]) for data in (whole, half)]
    assert ids[0] == ids[1] and whole.settings.labels == half.settings.labels


def test_equal_options_give_equal_answers(options: Options, trained_run: Path) -> None:
    again = pipeline.train_run(options())
    for name in MODELS:
        np.testing.assert_array_equal(answers(again, name), answers(trained_run, name))


def test_a_complete_run_is_left_alone(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    same = options(models=())
    pipeline.train_run(same)
    monkeypatch.setattr(pipeline, "open_products", lambda options: pytest.fail("trained again"))
    assert pipeline.train_run(same) == same.out


def test_weights_are_asked_for_before_pictures_are_grouped(options: Options, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "draw_split", lambda *_: pytest.fail("the slow part has begun"))
    wanted = options(image_weights="nowhere.pth")
    with pytest.raises(WeightsError, match=r"nowhere\.pth"):
        pipeline.train_run(wanted)
    assert not (wanted.out / "split.csv").exists()


def test_a_folder_of_other_options_is_refused(options: Options, tmp_path: Path) -> None:
    pipeline.train_run(options(models=(), out=tmp_path))
    with pytest.raises(RunError, match="other options"):
        pipeline.train_run(options(models=(), out=tmp_path, seed=1))


def test_a_run_of_before_an_option_was_there_is_gone_on_with(
    options: Options, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    same = options(models=())
    record = pipeline.train_run(same) / "options.json"
    older = json.loads(record.read_text())
    del older["train_share"]
    record.write_text(json.dumps(older))
    pipeline.train_run(same)
    assert "is complete" in capsys.readouterr().out
    record.write_text(json.dumps(older))
    with pytest.raises(RunError, match="other options"):
        pipeline.train_run(dataclasses.replace(same, train_share=0.5))


@pytest.mark.parametrize("stop_after", [1, 4, 8, 11])
def test_an_interrupted_run_ends_as_if_it_never_stopped(
    options: Options, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    epochs = iter(range(stop_after))
    train_epoch = loop.train_epoch

    def interrupted(*arguments: Any, **keywords: Any) -> float:
        if next(epochs, None) is None:
            raise KeyboardInterrupt
        return train_epoch(*arguments, **keywords)

    monkeypatch.setattr(loop, "train_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pipeline.train_run(options(out=tmp_path / "stopped"))
    assert not (tmp_path / "stopped" / "run.json").exists()
    monkeypatch.setattr(loop, "train_epoch", train_epoch)
    resumed = pipeline.train_run(options(out=tmp_path / "stopped"))
    for name in MODELS:
        np.testing.assert_array_equal(answers(resumed, name), answers(trained_run, name))


def test_both_towers_can_be_tuned(options: Options, trained_run: Path) -> None:
    """After their features were extracted: an encoder moved in inference mode could not be changed again."""
    tuned = pipeline.train_run(options(models=(), image_epochs=1, image_rate=1e-2))
    assert np.abs(answers(tuned, "image") - answers(trained_run, "image")).max() > 1e-3


def test_joint_training_leaves_the_towers_of_the_others_alone(options: Options, trained_run: Path) -> None:
    joint = pipeline.train_run(options(joint_epochs=1, image_rate=1e-3))
    np.testing.assert_array_equal(answers(trained_run, "late"), answers(joint, "late"))
    assert np.abs(answers(trained_run, "early") - answers(joint, "early")).max() > 1e-4


def test_cross_validation_tests_each_product_once(options: Options) -> None:
    runs = pipeline.cross_validate(options(models=()), 3)
    tested = [product for run in runs for product in np.load(run / "text" / "test.npz")["ids"]]
    assert len(tested) == len(set(tested)) == 10 * len(load_model(runs[0] / "text")[1].labels)
