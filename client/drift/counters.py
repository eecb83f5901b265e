"""Turns a server's counters into the answers of one version of a model."""

from collections.abc import Iterable, Iterator, Mapping

from client.api.errors import ClientError
from client.drift.counts import CONFLICT, UNSURE, AnswerCounts, Share
from handlers.product_serving.metrics import SCORE_BOUNDS, bound_value, label_values

# A series is told by its labels, its name among them.
Series = Mapping[tuple[tuple[str, str], ...], float]
ITEMS, LABELS, SCORES = "product_items_total", "product_labels_total", "product_score_bucket"
REASONS, EXITS = "product_review_reasons_total", "product_exits_total"
COUNTERS = (ITEMS, LABELS, SCORES, REASONS, EXITS)


def counted_version(series: Series, *, model: str, version: str | None, place: str) -> str:
    """The version whose answers are counted: the named one, or the only one with answers.

    Raises:
        ClientError: the model or the version has no answers, or several versions have.
    """
    found: dict[str, float] = {}
    models = set()
    for labels, value in _of(series, ITEMS):
        models.add(labels.get("model_name", ""))
        if labels.get("model_name") == model and labels.get("code") == "200":
            name = labels.get("model_version", "")
            found[name] = found.get(name, 0.0) + value
    answered = sorted(name for name, value in found.items() if value)
    if model not in models:
        raise ClientError(f"{place} counts no answers of {model}; models there: {', '.join(sorted(models)) or 'none'}")
    if version is not None and version not in answered:
        there = ", ".join(answered) or "none"
        raise ClientError(f"{place} counts no answers of {model} {version}; versions with answers: {there}")
    if version is None and len(answered) != 1:
        if not answered:
            raise ClientError(f"{place} counts no answers of {model} yet")
        raise ClientError(f"{place} counts answers of {model} {', '.join(answered)}: choose one with --version")
    return version or answered[0]


def counter_counts(series: Series, *, model: str, version: str, known: Iterable[str], place: str) -> AnswerCounts:
    """The answers of a version.

    Args:
        known: the classes of the reference, in their order.

    Raises:
        ClientError: the counters have classes that the reference has not.
    """
    own = {
        key: value for key, value in series.items() if {("model_name", model), ("model_version", version)} <= set(key)
    }
    answered = [(labels, value) for labels, value in _of(own, ITEMS) if labels.get("code") == "200"]
    modalities = _sums(((labels.get("modality", ""), value) for labels, value in answered))
    products = sum(modalities.values())
    reasons = _sums((labels.get("reason", ""), value) for labels, value in _of(own, REASONS))
    early = sum(value for labels, value in _of(own, EXITS) if labels.get("outcome") != "full")
    scores = _scores(_sums((labels.get("le", ""), value) for labels, value in _of(own, SCORES)))
    notes = [] if scores else [f"{place} has no {SCORES}: the archive is of an earlier version"]
    if early:
        notes.append("modalities and conflicts are not compared: exits of the cascade do not read every modality")
    return AnswerCounts(
        source=f"{place} ({model} {version})",
        products=products,
        labels=_labels(own, list(known), place),
        scores=scores,
        modalities=None if early else modalities,
        unsure=Share(reasons[UNSURE], products) if UNSURE in reasons else None,
        conflicts=None if early or CONFLICT not in reasons else Share(reasons[CONFLICT], modalities.get("both", 0.0)),
        notes=notes,
    )


def _labels(own: Series, known: list[str], place: str) -> dict[str, float]:
    names = {value: label for label, value in label_values(known).items()}
    found = _sums((labels.get("label", ""), value) for labels, value in _of(own, LABELS))
    if strange := [name for name, value in found.items() if value and name not in names]:
        raise ClientError(
            f"{place} counts classes that the reference does not have ({', '.join(map(repr, strange[:5]))}): name the "
            "run or the archive of the version that answers"
        )
    return {names[name]: value for name, value in found.items() if name in names}


def _scores(cumulative: Mapping[str, float]) -> list[float] | None:
    """Counts between the bounds, from counts up to each; None without any."""
    upto = [cumulative.get(bound_value(bound)) for bound in SCORE_BOUNDS]
    if any(each is None for each in upto):
        return None
    whole = [each or 0.0 for each in upto]
    # Prometheus estimates the growth of each bucket, so that one may seem to shrink by a hair.
    return [max(0.0, later - earlier) for earlier, later in zip([0.0, *whole], whole, strict=False)]


def _of(series: Series, name: str) -> Iterator[tuple[dict[str, str], float]]:
    for key, value in series.items():
        labels = dict(key)
        if labels.get("__name__") == name:
            yield labels, value


def _sums(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for name, value in pairs:
        sums[name] = sums.get(name, 0.0) + value
    return sums
