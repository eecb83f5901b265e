"""One sentence on what moved, and what to do next."""

from collections.abc import Sequence

from client.drift.judgement import CONFLICTS, LABELS, MODALITIES, SCORES, UNSURE, Judged

_MODALITIES = (
    "look for pictures or titles that are lost on the way: errors.csv has the reasons, product_items_total the codes"
)
_CONFLICTS = "look at products whose picture and title disagree: often pictures are attached to the wrong products"
_UNLIKE = (
    "the products are less like those of the training: check the least sure ones in review.csv, correct their labels "
    "and train again (docs/how-to/close-the-loop.md)"
)
_SURER = "the model is surer than on validation: look whether products repeat, or come from fewer sources"
_MIX = (
    "the mix of products has changed, and the model is as sure as before: if the range of the shop has changed, "
    "nothing is to do; else look at products of these classes"
)


def sentence(judged: Sequence[Judged]) -> str:
    """What moved, by how much, and what to do next."""
    moved = {each.name: each for each in judged if each.moved}
    if not moved:
        return f"steady: {', '.join(each.name for each in judged)} are as on validation"
    what = "; ".join(f"{name} ({each.changed()})" for name, each in moved.items())
    return f"moved: {what}. Next: {'; '.join(_next(moved))}"


def _next(moved: dict[str, Judged]) -> list[str]:
    steps = []
    if MODALITIES in moved:
        steps.append(_MODALITIES)
    if CONFLICTS in moved:
        steps.append(_CONFLICTS)
    if UNSURE in moved or SCORES in moved:
        steps.append(_UNLIKE if _less_sure(moved) else _SURER)
    return [*steps, _MIX] if LABELS in moved and not {UNSURE, SCORES} & set(moved) else steps


def _less_sure(moved: dict[str, Judged]) -> bool:
    if UNSURE in moved:
        [(before, now)] = moved[UNSURE].changes.values()
        return now > before
    # Later bounds are higher scores; what grew most decides.
    growing = [name for name, (before, now) in moved[SCORES].changes.items() if now > before]
    return not growing[0].endswith("..1")
