"""Which models are the best by the paired intervals, and which one to take.

A model is among the best if no other one is measurably more accurate. Of these the simplest is taken: what cannot be
measured is not worth a second tower.
"""

import dataclasses
from collections.abc import Collection, Sequence

from training.models import MODELS
from training.reporting.results.model_comparison import Metric, ModelComparison
from training.reporting.results.model_names import BASELINE, MAJORITY, SIMPLEST_FIRST, SINGLES, display_name

_READS = {"image": "picture", "text": "title", "lexical": "title"}


@dataclasses.dataclass(frozen=True)
class Decision:
    """The outcome of a comparison.

    Args:
        best: models, or the baseline, that no other one beats in accuracy; in the order of the comparison.
        beaten: those that each of ``best`` beats.
        between: the rest; some of ``best`` beat them.
        take: the simplest of the best that can be archived.
        fusion: likewise, of the models that read picture and title; None if ``take`` is one, or there is none.
        by_macro_f1: a simpler one of the best was passed over, since its macro-F1 is measurably worse.
    """

    best: tuple[str, ...]
    beaten: tuple[str, ...]
    between: tuple[str, ...]
    take: str
    fusion: str | None
    by_macro_f1: bool

    def choice(self, model: str) -> str:
        """A model's place in a few words; "" if it is beaten."""
        if model == self.take:
            return "take this one"
        if model == self.fusion:
            return f"if a {_READS[self.take]} may be missing"
        return "not measurably worse" if model in self.best else ""


def decide(comparison: ModelComparison) -> Decision:
    """Choose among the models of a comparison; the majority class does not take part."""
    names = [name for name in comparison.numbers if name != MAJORITY]
    best = _unbeaten(comparison, names)
    beaten = [name for name in names if all(_verdict(comparison, one, name) == "better" for one in best)]
    archived = [name for name in names if name in MODELS] or [name for name in names if name != BASELINE]
    take, passed = _simplest(comparison, archived)
    fusions = [name for name in archived if name not in SINGLES]
    fusion = _simplest(comparison, fusions)[0] if fusions and take in SINGLES else None
    between = [name for name in names if name not in (*best, *beaten)]
    return Decision(tuple(best), tuple(beaten), tuple(between), take, fusion, passed)


def decision_sentences(decision: Decision, *, products: int) -> str:
    """The decision in two to four sentences.

    Args:
        products: number of test products.
    """
    best = [display_name(name) for name in decision.best]
    on = f"On {products:,} test products"
    if len(best) == 1:
        text = f"{on} {best[0]} is measurably the most accurate"
        text += f", before {listed(decision.beaten)}." if decision.beaten else "."
    else:
        every = "both" if len(best) == 2 else "all"
        text = f"{on} {listed(decision.best)} show no measurable difference in accuracy"
        text += f"; {every} beat {listed(decision.beaten)}." if decision.beaten else "."
    if decision.between:
        verb = "is" if len(decision.between) == 1 else "are"
        text += f" {_capital(listed(decision.between))} {verb} worse than some of them."
    return f"{text} {_advice(decision)}"


def listed(names: Sequence[str]) -> str:
    """Models by their names in the report: ``late, early and text``."""
    shown = [display_name(name) for name in names]
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _advice(decision: Decision) -> str:
    take = display_name(decision.take)
    if decision.take not in decision.best:
        text = f"No archive can hold {listed(decision.best)}; of the others take {take}."
    elif len(decision.best) == 1:
        text = f"Take {take}."
    else:
        why = "the simplest" + (" that an archive can hold" if BASELINE in decision.best else "")
        why += " whose macro-F1 is not worse either" if decision.by_macro_f1 else ""
        text = f"Take {take}: it is {why}."
    if decision.fusion is not None:
        reads = _READS[decision.take]
        text += f" It reads the {reads} alone; if a {reads} may be missing, take {display_name(decision.fusion)}."
    return text


def _simplest(comparison: ModelComparison, names: Sequence[str]) -> tuple[str, bool]:
    """The simplest of the unbeaten among some models, and whether its macro-F1 decided against a simpler one."""
    best = _unbeaten(comparison, names)
    good = _unbeaten(comparison, best, metric="macro_f1")
    simplest, first = min(good, key=_complexity), min(best, key=_complexity)
    return simplest, simplest != first


def _complexity(name: str) -> int:
    return SIMPLEST_FIRST.index(name) if name in SIMPLEST_FIRST else len(SIMPLEST_FIRST)


def _unbeaten(comparison: ModelComparison, names: Collection[str], *, metric: Metric = "accuracy") -> list[str]:
    return [
        name
        for name in names
        if not any(_verdict(comparison, other, name, metric) == "better" for other in names if other != name)
    ]


def _verdict(comparison: ModelComparison, model: str, other: str, metric: Metric = "accuracy") -> str:
    """Of one model against another one; a model against itself is a tie."""
    for pair in comparison.verdicts:
        if (pair["model"], pair["other"]) == (model, other):
            return str(pair[metric]["verdict"])
        if (pair["model"], pair["other"]) == (other, model):
            return {"better": "worse", "worse": "better", "tie": "tie"}[pair[metric]["verdict"]]
    return "tie"


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
