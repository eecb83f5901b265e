"""The section on robustness: accuracy of every model when titles or pictures are missing or damaged.

A fusion fails a condition if a single model does better on the same products: then the second modality does harm.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from training.evaluation.conditions import CLEAN
from training.reporting.document.blocks import Block, Cell, Column, Figure, Paragraph, Section, Table
from training.reporting.figures.charts import Curve, draw_curves, draw_dots
from training.reporting.results.model_comparison import mean_and_std, signed_points
from training.reporting.results.model_names import BASELINE, SINGLES, display_name
from training.reporting.results.run_results import RunResults
from training.reporting.sections.report_data import ReportData
from training.run.checkpoint import RunError
from training.run.record import ROBUSTNESS_FILE
from training.scores.metrics import FREQUENT

TOLERANCE = 0.005
METRICS = {"accuracy": "accuracy", "macro_f1_frequent": "macro-F1"}


class ConditionScores(NamedTuple):
    """The scores of all models under one condition.

    Args:
        tick: strength of the damage.
        name: kind and strength, unique.
        changed: share of changed titles (``title``) and of changed pictures (``image``).
        scores: by metric in ``METRICS`` and by model, one score for each run.
    """

    kind: str
    tick: str
    name: str
    changed: Mapping[str, float]
    scores: Mapping[str, Mapping[str, list[float]]]

    @property
    def models(self) -> list[str]:
        """Models measured in all runs."""
        return list(self.scores["accuracy"])

    def mean(self, metric: str, model: str) -> float:
        """Mean over the runs."""
        return float(np.mean(self.scores[metric][model]))


def read_conditions(runs: Sequence[RunResults]) -> list[ConditionScores]:
    """Conditions that all measured runs have, in the order of the first run; none if no run was measured.

    Raises:
        RunError: a file cannot be read.
    """
    measured = [_read(run.folder / ROBUSTNESS_FILE) for run in runs if (run.folder / ROBUSTNESS_FILE).is_file()]
    if not measured:
        return []
    return [
        _condition([each[name] for each in measured]) for name in measured[0] if all(name in each for each in measured)
    ]


def _read(path: Path) -> dict[str, Any]:
    """Conditions by name."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        conditions = {condition["name"]: condition for condition in content["conditions"]}
        for condition in conditions.values():
            _condition([condition])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        command = "`python -m training evaluate RUN --data CATALOGUE --part test --robustness`"
        raise RunError(f"{path} cannot be read ({error!r}): measure again with {command}") from error
    return conditions


def _condition(measured: Sequence[dict[str, Any]]) -> ConditionScores:
    first = measured[0]
    models = [name for name in first["models"] if all(name in each["models"] for each in measured)]
    return ConditionScores(
        kind=first["kind"],
        tick=first["tick"],
        name=first["kind"] if first["kind"] == CLEAN else first["name"],
        changed={
            input_: float(np.mean([each["changed"][input_] for each in measured])) for input_ in ("title", "image")
        },
        scores={
            metric: {name: [float(each["models"][name][metric]) for each in measured] for name in models}
            for metric in METRICS
        },
    )


class FusionVerdict(NamedTuple):
    """The fusions compared with the best single model under one condition.

    Args:
        best_single: the single model with the higher score.
        score: its mean over the runs.
        gains: by fusion, its mean minus ``score``.
    """

    best_single: str
    score: float
    gains: Mapping[str, float]

    @property
    def failures(self) -> list[str]:
        """Fusions that are more than half a point below the best single model."""
        return [name for name, gain in self.gains.items() if gain < -TOLERANCE]

    @property
    def verdict(self) -> str:
        """The verdict in a few words."""
        if len(self.failures) == len(self.gains) > 1:
            return "failure: all"
        if failures := self.failures:
            return f"failure: {', '.join(map(display_name, failures))}"
        if all(gain > TOLERANCE for gain in self.gains.values()):
            return "all above"
        return "none below"


def robustness(data: ReportData) -> Iterator[Section]:
    """The section on all runs with measured robustness; none if there are none."""
    conditions = read_conditions(data.runs)
    if not conditions:
        return
    clean = [condition for condition in conditions if condition.kind == CLEAN]
    damaged = [condition for condition in conditions if condition.kind != CLEAN]
    models = [name for name in (*data.models, BASELINE) if all(name in each.models for each in conditions)]
    fusions = [name for name in models if name not in (*SINGLES, BASELINE)]
    blocks: list[Block] = [Paragraph(_EXPLAINED), *_figures(data, clean, damaged, models)]
    if fusions and {"image", "text"} <= set(models):
        blocks[1:1] = [Paragraph(_summary(damaged, fusions))]
        blocks.append(_verdicts(damaged, fusions))
    blocks += [_scores(conditions, models, metric) for metric in METRICS]
    yield Section("robustness", "When titles or pictures are missing or damaged", blocks)


def judge_fusions(condition: ConditionScores, fusions: Sequence[str], *, metric: str) -> FusionVerdict:
    """Compare every fusion with the best single model under one condition, by one metric."""
    singles = [name for name in SINGLES if name in condition.models]
    best_single = max(singles, key=lambda name: condition.mean(metric, name))
    score = condition.mean(metric, best_single)
    return FusionVerdict(best_single, score, {name: condition.mean(metric, name) - score for name in fusions})


def robustness_record(data: ReportData) -> list[dict[str, Any]]:
    """The numbers for ``report.json``: an entry for each condition; empty if nothing was measured."""
    return [
        {
            "condition": each.name,
            "changed": each.changed,
            **{metric: {name: mean_and_std(each.scores[metric][name]) for name in each.models} for metric in METRICS},
        }
        for each in read_conditions(data.runs)
    ]


_EXPLAINED = (
    "The models answer test products whose titles or pictures are removed or damaged. Training may damage some too "
    "(--damage-titles, --damage-pictures), so not every kind is new to the models. A fusion fails a condition if it is "
    f"more than {100 * TOLERANCE:.1f} points below the best single model on the same products."
)
_BAND = "Lines: means; bands: from the lowest to the highest run."


def _summary(damaged: Sequence[ConditionScores], fusions: Sequence[str]) -> str:
    """For each metric, the number of conditions that a fusion fails, and the names of these fusions."""
    parts = []
    for metric, name in METRICS.items():
        failed = [failures for each in damaged if (failures := judge_fusions(each, fusions, metric=metric).failures)]
        if not failed:
            parts.append(f"By {name}, no fusion fails in any of {len(damaged)} conditions.")
            continue
        names = dict.fromkeys(display_name(fusion) for failures in failed for fusion in failures)
        parts.append(f"By {name}, a fusion fails in {len(failed)} of {len(damaged)} conditions: {', '.join(names)}.")
    return " ".join(parts)


def _figures(
    data: ReportData, clean: Sequence[ConditionScores], damaged: Sequence[ConditionScores], models: Sequence[str]
) -> Iterator[Figure]:
    """Curves for kinds of damage with several strengths, dots for the others."""
    kinds: dict[str, list[ConditionScores]] = {}
    for condition in damaged:
        kinds.setdefault(condition.kind, []).append(condition)
    curves = [_curve(kind, [*clean, *group], models) for kind, group in kinds.items() if len(group) > 1]
    single = [group[0] for group in kinds.values() if len(group) == 1]
    if curves:
        draw_curves(data.figures / "robustness.png", curves)
        yield Figure("robustness.png", "Accuracy of every model by strength of damage, a panel for each kind", _BAND)
    if single:
        draw_dots(data.figures / "robustness-more.png", _curve("", [*clean, *single], models))
        yield Figure("robustness-more.png", "Accuracy of every model under each kind of damage that has one strength")


def _curve(title: str, conditions: Sequence[ConditionScores], models: Sequence[str]) -> Curve:
    return Curve(
        title,
        range(len(conditions)),
        [condition.tick if title else condition.name for condition in conditions],
        {name: [condition.scores["accuracy"][name] for condition in conditions] for name in models},
    )


def _verdicts(damaged: Sequence[ConditionScores], fusions: Sequence[str]) -> Table:
    columns = [Column(name) for name in ("condition", "by accuracy", "by macro-F1", "best single model")]
    columns += [Column("accuracy %", True), *(Column(display_name(name), True) for name in fusions)]
    rows = []
    for condition in damaged:
        judged, macro = (judge_fusions(condition, fusions, metric=metric) for metric in METRICS)
        rows.append(
            [
                Cell(condition.name),
                *(Cell(each.verdict, tone="bad" if each.failures else "muted") for each in (judged, macro)),
                Cell(display_name(judged.best_single)),
                Cell(f"{100 * judged.score:.1f}", judged.score),
                *(_gain(judged.gains[name]) for name in fusions),
            ]
        )
    caption = "Verdicts on the fusions; the last columns are the points of accuracy above the best single model"
    return Table(columns, rows, caption, sortable=True)


def _scores(conditions: Sequence[ConditionScores], models: Sequence[str], metric: str) -> Table:
    columns = [Column("condition"), Column("titles changed %", True), Column("pictures changed %", True)]
    rows = [
        [
            Cell(each.name),
            *(Cell(f"{100 * each.changed[key]:.0f}", each.changed[key], "muted") for key in ("title", "image")),
            *(Cell.mean(mean_and_std(each.scores[metric][name])) for name in models),
        ]
        for each in conditions
    ]
    of = f", classes with ≥ {FREQUENT} test products" if metric == "macro_f1_frequent" else ""
    caption = f"{METRICS[metric].capitalize()} % of every model under every condition{of}"
    return Table([*columns, *(Column(display_name(name), True) for name in models)], rows, caption, sortable=True)


def _gain(gain: float) -> Cell:
    return Cell(signed_points(gain), gain, "bad" if gain < -TOLERANCE else "good" if gain > TOLERANCE else "")
