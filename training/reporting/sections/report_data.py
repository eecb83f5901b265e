"""What every section of a report is made from: the runs, their catalogue, and the folder that figures go to."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

from training.reporting.figures.products import CardAnswer, CatalogProducts, ProductCard
from training.reporting.results.names import display
from training.reporting.results.runs import RunResults, common_models, pool_results


@dataclasses.dataclass(frozen=True)
class Material:
    """Runs of one experiment.

    Args:
        runs: one or more; products are shown from the first.
        figures: folder to draw into.
    """

    runs: Sequence[RunResults]
    figures: Path

    @property
    def run(self) -> RunResults:
        """The run whose products are shown."""
        return self.runs[0]

    @property
    def models(self) -> list[str]:
        """The trained models that all runs have."""
        return [name for name in common_models(self.runs) if name in self.run.models]

    @functools.cached_property
    def pooled(self) -> RunResults:
        """All runs as one."""
        return pool_results(self.runs)

    @functools.cached_property
    def shelf(self) -> CatalogProducts:
        """Titles and pictures."""
        return CatalogProducts(self.run.record.source)

    def card(self, run: RunResults, row: int, names: Sequence[str]) -> ProductCard:
        """A test product with the answers of some models.

        Args:
            run: one of the runs, or all of them pooled.
            row: its test product.
            names: models.
        """
        product = str(run.ids[row])
        said = []
        for name in names:
            answers = run.answers[name]
            score = None if answers.probabilities is None else float(answers.probabilities[row].max())
            label, right = run.labels[answers.predicted[row]], bool(answers.predicted[row] == run.truth[row])
            said.append(CardAnswer(display(name), label, score, right))
        return ProductCard(self.shelf.picture(product), self.shelf.title(product), run.labels[run.truth[row]], said)
