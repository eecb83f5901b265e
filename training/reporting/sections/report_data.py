"""The input of every section: the runs, their catalogue, and the folder for figures."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

from training.reporting.figures.products import CardAnswer, CatalogProducts, ProductCard
from training.reporting.results.model_names import display_name
from training.reporting.results.run_results import RunResults, common_models, pool_results


@dataclasses.dataclass(frozen=True)
class ReportData:
    """Runs of one experiment.

    Args:
        runs: one or more; the first gives the products that are shown.
    """

    runs: Sequence[RunResults]
    figures: Path

    @property
    def run(self) -> RunResults:
        """The run that gives the products that are shown."""
        return self.runs[0]

    @property
    def models(self) -> list[str]:
        """The trained models that all runs have."""
        return [name for name in common_models(self.runs) if name in self.run.models]

    @functools.cached_property
    def pooled(self) -> RunResults:
        """All runs joined to one."""
        return pool_results(self.runs)

    @functools.cached_property
    def catalog(self) -> CatalogProducts:
        """Titles and pictures of the products."""
        return CatalogProducts(self.run.record.source)

    def card(self, run: RunResults, row: int, names: Sequence[str]) -> ProductCard:
        """A test product with the answers of some models.

        Args:
            run: one of the runs, or :attr:`pooled`.
            row: the product's row in the run.
        """
        product = str(run.ids[row])
        card_answers = []
        for name in names:
            answers = run.answers[name]
            score = None if answers.probabilities is None else float(answers.probabilities[row].max())
            label, right = run.labels[answers.predicted[row]], bool(answers.predicted[row] == run.truth[row])
            card_answers.append(CardAnswer(display_name(name), label, score, right))
        return ProductCard(
            self.catalog.picture(product), self.catalog.title(product), run.labels[run.truth[row]], card_answers
        )
