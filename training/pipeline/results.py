"""Calibrate a trained model and write its folder: answers, metrics, weights, settings, attention for the report."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from handlers.product_serving.calibration import calibrated_scores
from handlers.product_serving.hierarchy import attribute_log_scores
from handlers.product_serving.settings import MODALITIES, ProductSettings, present_modalities
from training.data.attributes import MISSING
from training.data.dataset import balanced_weights
from training.features.batches import FeatureBatches, Features
from training.fit.loop import Epoch, predict
from training.models import HEADS, ProductClassifier
from training.models.head import Head
from training.pipeline.conflicts import Conflict
from training.run.checkpoint import save_model, write_history
from training.run.context import Run
from training.run.record import CONFLICT_FILE, SETS_FILE
from training.scores.attribute_metrics import summarize_attributes
from training.scores.calibration import fitted_settings, frequency_shift, one_modality, set_figures
from training.scores.reference import REFERENCE_FILE, class_weights, reference_counts
from training.system.storage import write_arrays, write_json

ATTENDED_PRODUCTS = 8
LogitsAndTruth = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """A model's calibrated answers. The classes of all A attributes follow each other in C.

    Args:
        settings: with temperatures and review thresholds that were fitted on the validation part.
        validation: (N, C) probabilities.
        validation_alone: (N, C) probabilities of each attribute from its own logits; without hierarchies, they equal
            ``validation``.
        validation_damaged: (V - 1, N, C), likewise for the damaged forms of the titles.
        validation_truth: (N, A) classes.
        validation_whole: (N,) bool, True if a product has both modalities.
        test: (M, C) probabilities.
        test_truth: (M, A) classes.
        sets: figures of the sets of classes on the test part, by state of modalities; see
            :func:`training.scores.calibration.set_figures`.
        reference: answers to the validation part in counts; see :func:`training.scores.reference.reference_counts`.
        conflict: of picture and title, as measured on the test part; None if nothing tells.
    """

    settings: ProductSettings
    validation: NDArray[np.float32]
    validation_alone: NDArray[np.float32]
    validation_damaged: NDArray[np.float32]
    validation_truth: NDArray[np.int64]
    validation_whole: NDArray[np.bool_]
    test: NDArray[np.float32]
    test_truth: NDArray[np.int64]
    conflict: Conflict | None = None
    sets: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    reference: dict[str, Any] = dataclasses.field(default_factory=dict)


def restore_frequencies(run: Run, head: Head) -> None:
    """Correct a head that was trained on balanced batches for the true class frequencies."""
    _shift_logits(run, head, sign=1)


def as_trained(run: Run, head: Head) -> Head:
    """A copy of a head without the correction of :func:`restore_frequencies`."""
    copied = copy.deepcopy(head)
    _shift_logits(run, copied, sign=-1)
    return copied


@torch.no_grad()
def _shift_logits(run: Run, head: Head, *, sign: int) -> None:
    if (bias := head.output_bias()) is None:
        return
    targets = run.data.targets[run.data.rows("train")]
    weights = balanced_weights(targets)
    shift = sign * np.concatenate(
        [
            frequency_shift(classes[there], weights[there], classes=len(attribute.labels))
            for attribute, classes in zip(run.data.attributes, targets.T, strict=True)
            for there in [classes != MISSING]
        ]
    )
    bias.add_(torch.as_tensor(shift, dtype=bias.dtype, device=bias.device))


def calibrate(
    run: Run, name: str, classifier: ProductClassifier, features: Features, conflict: Conflict | None = None
) -> Calibrated:
    """Answer the validation and test parts; fit temperatures and review thresholds on the validation part.

    A model of two modalities gets further temperatures and thresholds for products with one modality.

    Args:
        features: from :meth:`training.run.context.Run.held_out_features`.
        conflict: of the model, if it is a fusion.
    """
    settings = dataclasses.replace(
        run.data.settings,
        model=name,
        modalities=HEADS[name].modalities,
        lexical=classifier.lexical_encoder is not None,
        hierarchies=run.data.hierarchies,
    )

    validation, test = (np.searchsorted(run.data.held_out, run.data.rows(part)) for part in ("validation", "test"))

    def answers(places: NDArray[np.int64], *, hidden: NDArray[np.bool_] | None = None, form: int = 0) -> LogitsAndTruth:
        batches = FeatureBatches(features, places, hidden=hidden, form=form)
        return predict(classifier.head, batches, device=run.device)

    (logits, truth), (test_logits, test_truth) = answers(validation), answers(test)
    reads = [MODALITIES.index(modality) for modality in settings.modalities]
    complete = features.present[validation][:, reads].all(axis=1)
    fitted = fitted_settings(*answers(validation[complete] if complete.any() else validation), settings)
    alone = []
    for place, modality in enumerate(MODALITIES):
        places = validation[features.present[validation, place]]
        if len(settings.modalities) > 1 and len(places):
            by_modality = answers(places, hidden=np.arange(len(MODALITIES)) != place)
            alone.append(one_modality(fitted_settings(*by_modality, fitted), modality=modality))
    threshold = None if conflict is None else conflict.threshold
    fitted = dataclasses.replace(fitted, one_modality=tuple(alone), conflict_threshold=threshold)
    served = served_scores(logits, features.present[validation], fitted)
    return Calibrated(
        fitted,
        served,
        own_scores(logits, fitted),
        _stacked(
            [own_scores(answers(validation, form=form)[0], fitted) for form in range(1, len(features.starts))], logits
        ),
        truth,
        np.asarray(features.present[validation].all(axis=1), dtype=np.bool_),
        served_scores(test_logits, features.present[test], fitted),
        test_truth,
        conflict,
        _sets(fitted, features.present[test], lambda rows, hidden: answers(test[rows], hidden=hidden)),
        reference_counts(
            served, features.present[validation], fitted, class_weights(truth[:, 0], run.data.targets[:, 0])
        ),
    )


def _sets(
    settings: ProductSettings,
    present: NDArray[np.bool_],
    answers: Callable[[NDArray[np.int64], NDArray[np.bool_]], LogitsAndTruth],
) -> dict[str, dict[str, float]]:
    """What the sets of classes do on the test part, in each state of modalities that the model can read.

    Args:
        settings: fitted.
        present: (M, 2) of the test products.
        answers: rows of the test part, and (2,) modalities to hide -> logits and truth.
    """
    main, reads = settings.slices[settings.target], np.array([name in settings.modalities for name in MODALITIES])
    states = {"both": np.array([True, True]), **{name: np.arange(2) == place for place, name in enumerate(MODALITIES)}}
    figures = {}
    for state, there in states.items():
        rows = np.flatnonzero(present[:, there].all(axis=1))
        if (there & ~reads).any() or not len(rows):
            continue
        logits, truth = answers(rows, ~there)
        scores = served_scores(logits, np.tile(there, (len(rows), 1)), settings)
        known = truth[:, 0] != MISSING
        threshold = settings.for_modalities(present_modalities(there)).main.set_threshold
        if threshold and known.any():
            of_main, classes = scores[known][:, main], truth[known, 0]
            accuracy = float((of_main.argmax(1) == classes).mean())
            figures[state] = {**set_figures(of_main, classes, threshold), "accuracy": accuracy}
    return figures


def _stacked(forms: list[NDArray[np.float32]], like: NDArray[np.float32]) -> NDArray[np.float32]:
    """V - 1 arrays (N, C) -> (V - 1, N, C), also for none."""
    return np.stack(forms) if forms else np.empty((0, *like.shape), dtype=np.float32)


def own_scores(logits: NDArray[np.float32], settings: ProductSettings) -> NDArray[np.float32]:
    """Logits (N, C) -> probabilities (N, C), each attribute's from its own logits."""
    return np.exp(attribute_log_scores(logits.astype(np.float64), settings)).astype(np.float32)


def served_scores(
    logits: NDArray[np.float32], present: NDArray[np.bool_], settings: ProductSettings
) -> NDArray[np.float32]:
    """Logits (N, C), present modalities (N, 2) -> probabilities (N, C), as the server gives them."""
    return calibrated_scores(logits.astype(np.float64), present, settings).astype(np.float32)


def write_result(
    run: Run, name: str, classifier: ProductClassifier, answers: Calibrated, history: list[Epoch]
) -> dict[str, Any]:
    """Write a model's folder; returns its metrics on the test part, by attribute."""
    folder, settings = run.data.options.out / name, answers.settings
    ids = run.data.products["id"].to_numpy(dtype=str)
    for part, truth, scores in (
        ("validation", answers.validation_truth, answers.validation),
        ("test", answers.test_truth, answers.test),
    ):
        write_arrays(folder / f"{part}.npz", ids=ids[run.data.rows(part)], truth=truth, probabilities=scores)
    write_history(folder / "history.csv", history)
    write_json(folder / REFERENCE_FILE, answers.reference | _conflicts(answers.conflict))
    if answers.sets:
        write_json(folder / SETS_FILE, {"coverage": settings.set_coverage, "states": answers.sets})
    if answers.conflict is not None:
        write_json(folder / CONFLICT_FILE, answers.conflict._asdict())
    tokenizer = (run.data.options.out / "tokenizer.json").read_text(encoding="utf-8")
    save_model(folder, classifier, settings=settings, image_encoder=run.data.options.image_encoder, tokenizer=tokenizer)
    return summarize_attributes(answers.test, answers.test_truth, settings)


def _conflicts(conflict: Conflict | None) -> dict[str, Any]:
    """Products with picture and title, and those in conflict: of the test part, since validation fits the threshold."""
    if conflict is None:
        return {}
    return {"conflicts": {"pairs": conflict.pairs, "flagged": round(conflict.false_alarms * conflict.pairs)}}


@torch.no_grad()
def write_attention(run: Run, name: str, head: Head, features: Features) -> None:
    """Write ``attention.npz`` into a model's folder: ids (K,), tokens (K, 1 + T), weights (K, N, 1 + T).

    Args:
        head: trained; without attention, no file is written.
        features: from :meth:`training.run.context.Run.held_out_features`.
    """
    if not head.attends:
        return
    places = np.searchsorted(run.data.held_out, run.data.rows("test"))
    places = places[features.present[places].all(1)][:ATTENDED_PRODUCTS]
    if not len(places):
        return
    inputs, _ = features.batch(places)
    device = next(head.parameters()).device
    weights = head.eval().attention_weights(*(each.to(device) for each in inputs))
    rows = run.data.held_out[places]
    write_arrays(
        run.data.options.out / name / "attention.npz",
        ids=run.data.products["id"].to_numpy(dtype=str)[rows],
        tokens=_tokens(run, run.data.products["text"].iloc[rows].tolist(), width=weights.shape[2]),
        weights=weights.cpu().numpy(),
    )


def _tokens(run: Run, titles: list[str], *, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.str_]]:
    """The word (K, 1 + T) of each column of the weights; column 0 is the null key."""
    tokenizer = Tokenizer.from_file(str(run.data.options.out / "tokenizer.json"))
    tokens = np.full((len(titles), width), "", dtype="U64")
    tokens[:, 0] = "[none]"
    for number, title in enumerate(titles):
        ids = run.data.preprocessor.tokens(title)
        tokens[number, 1 : 1 + len(ids)] = [tokenizer.id_to_token(int(token)) for token in ids]
    return tokens
