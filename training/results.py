"""From a trained model to its folder in the run: calibrated answers, metrics, weights, settings."""

import copy
import dataclasses
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import nn

from training.calibration import fit_temperature, frequency_shift, review_threshold
from training.checkpoint import save_model, write_arrays, write_history
from training.dataset import balanced_weights
from training.features import FeatureBatches, Features
from training.loop import Epoch, predict
from training.metrics import summarize
from training.models import MODEL_MODALITIES, ProductClassifier
from training.run import Run


@dataclasses.dataclass(frozen=True)
class Calibrated:
    """A model's calibrated answers.

    Args:
        temperature: fitted on validation.
        review_threshold: confidence at which validation precision reaches the target.
        validation: (N, C) probabilities.
        validation_truth: (N,) classes.
        test: (M, C) probabilities.
        test_truth: (M,) classes.
    """

    temperature: float
    review_threshold: float
    validation: NDArray[np.float32]
    validation_truth: NDArray[np.int64]
    test: NDArray[np.float32]
    test_truth: NDArray[np.int64]


def restore_frequencies(run: Run, head: nn.Module) -> None:
    """Let a head that was trained on balanced batches answer with the classes' true frequencies.

    Args:
        run: under way.
        head: its last linear layer gives the logits.
    """
    _shift_logits(run, head, sign=1)


def as_trained(run: Run, head: nn.Module) -> nn.Module:
    """A copy of a head as it was before :func:`restore_frequencies`."""
    copied = copy.deepcopy(head)
    _shift_logits(run, copied, sign=-1)
    return copied


@torch.no_grad()
def _shift_logits(run: Run, head: nn.Module, *, sign: int) -> None:
    targets = run.data.targets[run.data.rows("train")]
    shift = sign * frequency_shift(targets, balanced_weights(targets), classes=len(run.data.labels))
    last = [module for module in head.modules() if isinstance(module, nn.Linear)][-1]
    last.bias.add_(torch.as_tensor(shift, dtype=last.bias.dtype, device=last.bias.device))


def calibrate(run: Run, classifier: ProductClassifier, features: Features) -> Calibrated:
    """Answer validation and test; fit the temperature and the review threshold on validation.

    Args:
        run: under way.
        classifier: its head answers.
        features: as from :meth:`training.run.Run.held_out_features`.
    """

    def answers(part: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        places = np.searchsorted(run.data.held_out, run.data.rows(part))
        return predict(classifier.head, FeatureBatches(features, places), device=run.device)

    (logits, truth), (test_logits, test_truth) = answers("validation"), answers("test")
    temperature = fit_temperature(logits, truth)
    validation = softmax(logits / temperature, axis=1)
    threshold = review_threshold(validation, truth)
    return Calibrated(temperature, threshold, validation, truth, softmax(test_logits / temperature, axis=1), test_truth)


def write_result(
    run: Run, name: str, classifier: ProductClassifier, answers: Calibrated, history: list[Epoch]
) -> dict[str, Any]:
    """Write a model's folder; returns its metrics on the test part."""
    folder = run.data.options.out / name
    ids = run.data.products["id"].to_numpy(dtype=str)
    validation, test = run.data.rows("validation"), run.data.rows("test")
    write_arrays(
        folder / "validation.npz",
        ids=ids[validation],
        truth=answers.validation_truth,
        probabilities=answers.validation,
    )
    write_arrays(folder / "test.npz", ids=ids[test], truth=answers.test_truth, probabilities=answers.test)
    write_history(folder / "history.csv", history)
    settings = dataclasses.replace(
        run.data.preprocessor.settings,
        model=name,
        modalities=MODEL_MODALITIES[name],
        temperature=answers.temperature,
        review_threshold=answers.review_threshold,
    )
    tokenizer = (run.data.options.out / "tokenizer.json").read_text(encoding="utf-8")
    save_model(folder, classifier, settings=settings, image_encoder=run.data.options.image_encoder, tokenizer=tokenizer)
    return summarize(answers.test, answers.test_truth, run.data.labels)
