"""The context of a run that all stages share: data, device, fits and cached features."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from training.data.dataset import EpochSampler, balanced_weights
from training.features.batches import FeatureBatches, Features
from training.features.extraction import extract_features
from training.fit.loop import Epoch
from training.fit.objective import Objective
from training.models import Encoders, ProductClassifier
from training.models.encoders import ImageEncoder
from training.run.data import RunData
from training.run.options import ATTRIBUTE_WEIGHT
from training.run.stages import Stages
from training.system.device import Device

HEAD_BATCH_SIZE = 64
DAMAGED_FORMS = 3  # of each title, for the fusions
Module = TypeVar("Module", bound=nn.Module)


@dataclasses.dataclass(frozen=True)
class Run:
    """A training run.

    Args:
        data: products, parts and classes.
    """

    data: RunData
    device: Device
    stages: Stages

    @property
    def objective(self) -> Objective:
        """The loss. The main attribute has weight 1; the options give the weights of further attributes."""
        chosen = dict(self.data.options.attribute_weights)
        weights = [chosen.get(attribute.name, ATTRIBUTE_WEIGHT) for attribute in self.data.attributes[1:]]
        return Objective(sizes=self.data.settings.sizes, weights=[1.0, *weights])

    def features(
        self,
        encoders: Encoders,
        *,
        rows: NDArray[np.int64] | None = None,
        more_titles: Sequence[Sequence[str]] = (),
    ) -> Features:
        """Features of some rows or of all products, kept in the run folder; see :func:`extract_features`."""
        return extract_features(
            self.data.options.out / "features",
            self.data.dataset(rows),
            encoders=encoders,
            device=self.device,
            more_titles=more_titles,
            processes=self.data.options.processes,
        )

    def damaged_picture_features(self, encoder: ImageEncoder, rows: NDArray[np.int64]) -> Features:
        """Features of some rows with damaged pictures, without titles; kept in the run folder."""
        return extract_features(
            self.data.options.out / "features" / "damaged",
            self.data.damaged_pictures(rows),
            encoders=Encoders(image=encoder),
            device=self.device,
            processes=self.data.options.processes,
        )

    def held_out_features(self, classifier: ProductClassifier) -> Features:
        """Features of the validation and test products, in the order of :attr:`RunData.held_out`.

        Their titles as they are, and in damaged forms.
        """
        rows = self.data.held_out
        return self.features(classifier.encoders, rows=rows, more_titles=self.damaged_forms(rows))

    def damaged_forms(self, rows: NDArray[np.int64]) -> list[list[str]]:
        """Damaged forms of some rows' titles, the same in every call; empty if training damages no titles."""
        options, titles = self.data.options, self.data.products["text"].to_numpy(dtype=object)
        if not options.damage_titles:
            return []
        return [
            [self.data.damager(titles[row], np.random.default_rng((options.seed, form, int(row)))) for row in rows]
            for form in range(1, DAMAGED_FORMS + 1)
        ]

    def sampler(self, rows: NDArray[np.int64], *, batch_size: int, balanced: bool = True) -> EpochSampler:
        """Training batches of some rows. If ``balanced``, rare classes are sampled more often."""
        weights = balanced_weights(self.data.targets[rows]) if balanced else np.ones(len(rows))
        return EpochSampler(
            self.data.lengths[rows],
            batch_size=batch_size,
            weights=None if np.ptp(weights) == 0 else weights,
            seed=self.data.options.seed,
        )

    def fit_head(
        self, head: nn.Module, features: Features, *, stage: str, rows: NDArray[np.int64] | None = None
    ) -> list[Epoch]:
        """Train a single model's head on cached features; the validation part chooses the best epoch.

        Args:
            head: training starts from its weights.
            stage: name of the fit and its files.
            rows: training rows; None for all.
        """
        options = self.data.options
        return self._fit_on(head, features, stage=stage, rows=rows, epochs=options.head_epochs, rate=options.head_rate)

    def fit_fusion(self, head: nn.Module, features: Features, *, stage: str) -> list[Epoch]:
        """Train a fusion's head on cached features. In training, pictures, titles and words are hidden at random.

        The last epoch is kept. A fusion starts from the single models, so its accuracy on complete products may peak
        after one epoch, while products that lack words still improve.
        """
        options = self.data.options
        return self._fit_on(
            head,
            features,
            stage=stage,
            epochs=options.fusion_epochs,
            rate=options.fusion_rate,
            patience=None,
            drop_image=options.drop_image,
            drop_text=options.drop_text,
            damage_titles=options.damage_titles,
        )

    def _fit_on(
        self,
        head: nn.Module,
        features: Features,
        *,
        stage: str,
        epochs: int,
        rate: float,
        patience: int | None = 3,
        rows: NDArray[np.int64] | None = None,
        **hiding: Any,
    ) -> list[Epoch]:
        trained = self.data.rows("train") if rows is None else rows
        sampler = self.sampler(trained, batch_size=HEAD_BATCH_SIZE)

        def train(epoch: int) -> FeatureBatches:
            sampler.epoch = epoch
            return FeatureBatches(features, trained, sampler=sampler, **hiding)

        return self.stages.fit(
            head,
            objective=self.objective,
            stage=stage,
            optimizer=adamw([(head, rate)]),
            epochs=epochs,
            patience=patience,
            train=train,
            validation=FeatureBatches(features, self.data.rows("validation")),
            device=self.device,
            seed=self.data.options.seed,
        )

    def seeded(self, build: Callable[[], Module]) -> Module:
        """Build a module whose random weights depend only on the run's seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.data.options.seed)
            return build()


def adamw(groups: list[tuple[nn.Module, float]]) -> torch.optim.AdamW:
    """AdamW with weight decay 0.01 over the modules' trainable parameters, each module with its peak learning rate."""
    trained = [([value for value in module.parameters() if value.requires_grad], rate) for module, rate in groups]
    return torch.optim.AdamW(
        [{"params": values, "lr": rate} for values, rate in trained], weight_decay=0.01, fused=True
    )
