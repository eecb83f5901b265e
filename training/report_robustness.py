"""What is left when titles or pictures are missing or damaged: curves, all conditions, and whether fusion holds.

A fusion that falls below a single model on the same products had better not look at the other side at all.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from training.report_blocks import Block, Cell, Column, Figure, Paragraph, Section, Table
from training.report_conditions import CLEAN, Condition, read_conditions
from training.report_curves import Curve, draw_curves, draw_dots
from training.report_material import Material
from training.report_names import BASELINE, SINGLES, display
from training.report_numbers import spread

TOLERANCE = 0.005


@dataclasses.dataclass(frozen=True)
class Judgement:
    """Fusions against the single model that copes best.

    Args:
        condition: what was done to the products.
        survivor: the single model that is right most often then: with no title the one that reads the picture.
        gains: by fusion, its mean accuracy minus the survivor's.
    """

    condition: Condition
    survivor: str
    gains: dict[str, float]

    @property
    def failures(self) -> list[str]:
        """Fusions that lose more than half a point to the survivor."""
        return [name for name, gain in self.gains.items() if gain < -TOLERANCE]

    @property
    def words(self) -> str:
        """The verdict."""
        if failures := self.failures:
            return f"failure: {', '.join(map(display, failures))} below {display(self.survivor)}"
        if all(gain > TOLERANCE for gain in self.gains.values()):
            return f"all above {display(self.survivor)}"
        return f"none below {display(self.survivor)}"


def robustness(material: Material) -> Iterator[Section]:
    """Of all runs that have been measured so; where there is none, there is nothing to say."""
    conditions = read_conditions(material.runs)
    if not conditions:
        return
    clean = next(condition for condition in conditions if condition.kind == CLEAN)
    models = [name for name in (*material.models, BASELINE) if name in clean.accuracy]
    damaged = [condition for condition in conditions if condition.kind != CLEAN]
    judged = judge(damaged, models)
    blocks: list[Block] = [
        Paragraph(_summary(judged)),
        *_figures(material, clean, damaged, models),
        *([_verdicts(judged)] if judged else []),
        _accuracies([clean, *damaged], models),
    ]
    yield Section("robustness", "When titles or pictures are missing or damaged", blocks)


def judge(conditions: Sequence[Condition], models: Sequence[str]) -> list[Judgement]:
    """Every fusion among some models, in each condition; nothing where a single model is missing."""
    fusions = [name for name in models if name not in (*SINGLES, BASELINE)]
    if not fusions or not set(SINGLES) <= set(models):
        return []
    return [_judged(condition, fusions) for condition in conditions]


def _judged(condition: Condition, fusions: Sequence[str]) -> Judgement:
    survivor = max(SINGLES, key=condition.mean)
    gains = {name: condition.mean(name) - condition.mean(survivor) for name in fusions}
    return Judgement(condition, survivor, gains)


def robustness_record(conditions: Sequence[Condition], judged: Sequence[Judgement]) -> list[dict[str, Any]]:
    """The same for ``report.json``: an entry a condition."""
    verdicts = {each.condition.words: each for each in judged}
    return [
        {
            "condition": each.words,
            "accuracy": {name: spread(values) for name, values in each.accuracy.items()},
            "survivor": verdicts[each.words].survivor if each.words in verdicts else None,
            "failures": verdicts[each.words].failures if each.words in verdicts else [],
        }
        for each in conditions
    ]


def _summary(judged: Sequence[Judgement]) -> str:
    failed = [each for each in judged if each.failures]
    text = (
        "Test products whose titles or pictures are taken away or damaged, for the test only. A fusion is compared "
        "with the single model that survives the same damage best; losing more than "
        f"{100 * TOLERANCE:.1f} points to it is a failure. "
    )
    if not judged:
        return text
    if not failed:
        return f"{text}No fusion fails in any of {len(judged)} conditions."
    names = dict.fromkeys(display(name) for each in failed for name in each.failures)
    return f"{text}In {len(failed)} of {len(judged)} conditions a fusion fails: {', '.join(names)}; see the verdicts."


def _figures(
    material: Material, clean: Condition, damaged: Sequence[Condition], models: Sequence[str]
) -> Iterator[Figure]:
    """Kinds of several strengths as curves, the others as dots."""
    kinds: dict[str, list[Condition]] = {}
    for condition in damaged:
        kinds.setdefault(condition.kind, []).append(condition)
    curves = [_curve(kind, [clean, *group], models) for kind, group in kinds.items() if len(group) > 1]
    single = [group[0] for group in kinds.values() if len(group) == 1]
    if curves:
        draw_curves(material.figures / "robustness.png", curves)
        yield Figure("robustness.png", "Accuracy of every model as damage grows, a panel a kind of damage", _BAND)
    if single:
        draw_dots(material.figures / "robustness-more.png", _curve("", [clean, *single], models))
        yield Figure("robustness-more.png", "Accuracy of every model in conditions of one strength")


_BAND = "Lines: means; bands: from the lowest to the highest run."


def _curve(title: str, conditions: Sequence[Condition], models: Sequence[str]) -> Curve:
    return Curve(
        title,
        range(len(conditions)),
        [(condition.tick or "none") if title else condition.words for condition in conditions],
        {name: [condition.accuracy[name] for condition in conditions] for name in models},
    )


def _verdicts(judged: Sequence[Judgement]) -> Table:
    fusions = list(judged[0].gains)
    columns = [Column("condition"), Column("best single model"), Column("accuracy %", True)]
    rows = [
        [
            Cell(each.condition.words),
            Cell(display(each.survivor)),
            _percent(each.condition.accuracy[each.survivor]),
            *(_gain(each.gains[name]) for name in fusions),
            Cell(each.words, tone="bad" if each.failures else "muted"),
        ]
        for each in judged
    ]
    columns += [*(Column(display(name), True) for name in fusions), Column("verdict")]
    caption = "Accuracy of the best single model, and by how many points every fusion is above it"
    return Table(columns, rows, caption, sortable=True)


def _accuracies(conditions: Sequence[Condition], models: Sequence[str]) -> Table:
    columns = [Column("condition"), *(Column(display(name), True) for name in models)]
    rows = [[Cell(each.words), *(_percent(each.accuracy[name]) for name in models)] for each in conditions]
    return Table(columns, rows, "Accuracy % of every model in every condition", sortable=True)


def _gain(gain: float) -> Cell:
    text = f"{round(100 * gain, 1) + 0.0:+.1f}".replace("-", "−")
    return Cell(text, gain, "bad" if gain < -TOLERANCE else "good" if gain > TOLERANCE else "")


def _percent(values: Sequence[float]) -> Cell:
    value = spread(values)
    deviation = "" if value["std"] is None else f" ± {100 * value['std']:.1f}"
    return Cell(f"{100 * value['mean']:.1f}{deviation}", value["mean"])
