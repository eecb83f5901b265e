"""Judges whether answers have moved away from the reference: beyond chance, and by enough to matter.

A distribution (labels, scores, modalities) moves if a chi-squared test says that chance does not explain the
difference, and its population stability index (PSI) is at least ``MOVED_PSI`` above what chance alone gives. The PSI
of K values is the sum of (q - p) ln(q / p) over their shares p and q. Below 0.1 it is usually called stable, above
0.25 a large shift. Equal distributions of n and m products have a PSI of about (K - 1) (1/n + 1/m) by chance. A share
(unsure, conflicts) moves if the test says so, and if it has changed by ``MOVED_POINTS`` and by the factor
``MOVED_RATIO``.

Legend: K values of a distribution.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from client.api.errors import ClientError
from client.drift.counts import AnswerCounts, Share
from handlers.product_serving.metrics import SCORE_BOUNDS

# Values that fewer products are expected to have are counted together.
LEAST_EXPECTED = 20
MOVED_PSI = 0.1
MOVED_POINTS, MOVED_RATIO = 0.03, 1.5
SURE = 0.001  # the largest p-value, divided by the number of figures
OTHERS = "others"
LABELS, SCORES, MODALITIES, UNSURE, CONFLICTS = "labels", "scores", "modalities", "unsure", "conflicts"
FIGURES = (LABELS, SCORES, MODALITIES, UNSURE, CONFLICTS)
_SHOWN = 3
Counts = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Judged:
    """One figure.

    Args:
        name: of ``FIGURES``.
        moved: see the module.
        psi: of a distribution; None for a share.
        chance: the PSI that chance alone gives; None for a share.
        p_value: of the test, 0..1.
        changes: value -> share before and now, those that changed most first.
    """

    name: str
    moved: bool
    psi: float | None
    chance: float | None
    p_value: float
    changes: Mapping[str, tuple[float, float]]

    def text(self) -> str:
        """A line such as ``labels: moved, PSI 0.31 (chance 0.02): Bags 12.1 -> 4.0 %``."""
        measured = "" if self.psi is None else f", PSI {self.psi:.2f} (by chance {self.chance:.2f})"
        return f"{self.name}: {'moved' if self.moved else 'steady'}{measured}: {self.changed()}"

    def changed(self) -> str:
        """The values that changed most, with their shares."""
        shown = list(self.changes.items())[:_SHOWN]
        return ", ".join(f"{value} {100 * old:.1f} -> {100 * new:.1f} %".lstrip() for value, (old, new) in shown)


def judge(reference: AnswerCounts, now: AnswerCounts, *, least: int) -> list[Judged]:
    """Judge every figure that both have.

    Args:
        least: number of products that both need; fewer are not judged.

    Raises:
        ClientError: there are too few products to judge, or a class that the reference does not have.
    """
    _require_products(reference, now, least)
    if strange := [label for label, count in now.labels.items() if count and label not in reference.labels]:
        raise ClientError(
            f"{now.source} has classes that the reference does not have ({', '.join(map(repr, strange[:5]))}): "
            "name the run or the archive of the version that answered"
        )
    found = [_distribution(LABELS, reference.labels, now.labels)]
    if reference.scores is not None and now.scores is not None:
        found.append(_distribution(SCORES, *_with_neighbours(reference.scores, now.scores)))
    if reference.modalities is not None and now.modalities is not None:
        found.append(_distribution(MODALITIES, reference.modalities, now.modalities))
    for name, before, after in (
        (UNSURE, reference.unsure, now.unsure),
        (CONFLICTS, reference.conflicts, now.conflicts),
    ):
        if before is not None and after is not None and min(before.whole, after.whole) >= least:
            found.append(_share(name, before, after))
    return found


def _require_products(reference: AnswerCounts, now: AnswerCounts, least: int) -> None:
    for counts, mend in ((reference, "train on more products"), (now, "wait for more, or score more")):
        if counts.products < least:
            raise ClientError(
                f"too few products to judge: {counts.source} has {counts.products:,.0f}, at least {least:,} are "
                f"needed; {mend}, or choose another number with --least"
            )


def _distribution(name: str, before: Mapping[str, float], now: Mapping[str, float]) -> Judged:
    names, old, new = _pooled(before, now)
    if len(names) < 2:
        shares = {names[0]: (1.0, 1.0)} if names else {}
        return Judged(name, False, 0.0, 0.0, 1.0, shares)
    p, q = (_smoothed(each) for each in (old, new))
    parts = (q - p) * np.log(q / p)
    psi, chance = float(parts.sum()), float((len(names) - 1) * (1 / old.sum() + 1 / new.sum()))
    p_value = _p_value(old, new)
    order = np.argsort(-parts, kind="stable")
    changes = {names[place]: (float(old[place] / old.sum()), float(new[place] / new.sum())) for place in order}
    return Judged(name, p_value < SURE / len(FIGURES) and psi - chance >= MOVED_PSI, psi, chance, p_value, changes)


def _share(name: str, before: Share, now: Share) -> Judged:
    old, new = (np.array([each.part, each.whole - each.part], dtype=np.float64) for each in (before, now))
    p_value = _p_value(old, new)
    low, high = sorted((before.value, now.value))
    enough = high - low >= MOVED_POINTS and high >= MOVED_RATIO * low
    return Judged(name, p_value < SURE / len(FIGURES) and enough, None, None, p_value, {"": (before.value, now.value)})


def _pooled(before: Mapping[str, float], now: Mapping[str, float]) -> tuple[list[str], Counts, Counts]:
    """Values with both counts (K,), rare ones as ``OTHERS``."""
    names = list(dict.fromkeys([*before, *now]))
    old, new = (np.array([counts.get(name, 0.0) for name in names], dtype=np.float64) for counts in (before, now))
    expected = (old + new) / max(old.sum() + new.sum(), 1) * min(old.sum(), new.sum())
    kept = expected >= LEAST_EXPECTED
    if kept.all():
        return names, old, new
    pooled = [np.append(each[kept], each[~kept].sum()) for each in (old, new)]
    left = [name for name, keep in zip(names, kept, strict=True) if keep]
    if pooled[0][-1] + pooled[1][-1] == 0:
        return left, pooled[0][:-1], pooled[1][:-1]
    return [*left, OTHERS], pooled[0], pooled[1]


def _smoothed(
    counts: Counts,
) -> Counts:
    """Shares; half a product more for each value, so that none is 0."""
    shares: Counts = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    return shares


def _p_value(old: Counts, new: Counts) -> float:
    try:
        from scipy.stats import chi2_contingency  # noqa: PLC0415 - takes half a second
    except ModuleNotFoundError as error:  # an image that only serves
        raise ClientError(
            f"drift needs {error.name}, which a serving image does not have: run it where the project is set up "
            "(make setup), with --metrics or --prometheus for the address of this server"
        ) from error
    table = np.stack([old, new])[:, old + new > 0]
    return float(chi2_contingency(table, correction=False).pvalue) if table.shape[1] > 1 else 1.0


def _with_neighbours(before: Sequence[float], now: Sequence[float]) -> tuple[dict[str, float], dict[str, float]]:
    """Scores by their range before and now; a range with few products joins the next one."""
    old, new = np.asarray(before, dtype=np.float64), np.asarray(now, dtype=np.float64)
    expected = (old + new) / max(old.sum() + new.sum(), 1) * min(old.sum(), new.sum())
    starts, collected = [0], 0.0
    for place, each in enumerate(expected):
        collected += each
        if collected >= LEAST_EXPECTED and place + 1 < len(expected) and expected[place + 1 :].sum() >= LEAST_EXPECTED:
            starts.append(place + 1)
            collected = 0.0
    lower = [0.0, *SCORE_BOUNDS[:-1], 1.0]
    names = [f"score {lower[a]:g}..{lower[b]:g}" for a, b in pairwise([*starts, len(expected)])]
    sums = [np.add.reduceat(each, starts).tolist() for each in (old, new)]
    return dict(zip(names, sums[0], strict=True)), dict(zip(names, sums[1], strict=True))
