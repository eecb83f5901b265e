"""The card of a trained model in Markdown: data, split, metrics, calibration, limits, use. All of it is read from the
run's files; what was not measured is said to be so.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handlers.product_serving.settings import MODALITIES, ProductSettings
from training.run.checkpoint import RunError
from training.run.record import CONFLICT_FILE, ROBUSTNESS_FILE, SETS_FILE, RunRecord, read_run
from training.system.markdown import escape, padded_table

CARD = "model-card.md"
BASELINE = "baseline"
FEW = 10
LISTED = 10
WORST_CONDITIONS = 3
STATES = {"both": "picture and title", "image": "picture alone", "text": "title alone"}
METRICS = {
    "accuracy": "accuracy %",
    "macro_f1": "macro-F1 %",
    "coverage_at_95_precision": "coverage % at 95 % precision",
}


def model_card(run: Path, model: str) -> str:
    """The card of one model of a complete run. It holds no path of this machine.

    Args:
        run: the run folder.
        model: registry name.

    Raises:
        RunError: the run is not complete, or a file of the model is damaged.
    """
    record = read_run(run)
    path = run / model / "settings.json"
    settings = ProductSettings.from_json(path) if path.is_file() else None
    measured = _read(run / ROBUSTNESS_FILE) or {}
    parts = [
        f"# Model card: {model}, {escape(record.main.name)}",
        _use(record, model, settings),
        _data(record, settings, _read(run / model / "architecture.json") or {}),
        _metrics(record, model),
        _states(_read(run / model / SETS_FILE), _by_state(record, model, settings, measured)),
        _calibration(record, model, settings, _read(run / model / CONFLICT_FILE)),
        _limits(run, model, record, settings, measured),
    ]
    return "\n\n".join(parts) + "\n"


def _use(record: RunRecord, model: str, settings: ProductSettings | None) -> str:
    words = {"image": "picture", "text": "title"}
    reads = f" from its {' and '.join(words[each] for each in settings.modalities)}" if settings else ""
    further = [each.name for each in record.attributes[1:]]
    tells = f" It also tells {', '.join(map(escape, further))}." if further else ""
    return (
        f"## Intended use\n\nThe model {model} tells the {escape(record.main.name)} of a product{reads}, as one of "
        f"{len(record.main.labels)} classes.{tells} It is meant for catalogues like the one below. A person looks at "
        "the answers that the model marks for review.\n\nIt was not measured on other shops, languages or kinds of "
        "pictures."
    )


def _data(record: RunRecord, settings: ProductSettings | None, architecture: Mapping[str, Any]) -> str:
    products, split, options = record.products, record.split, record.arguments
    corrected = "" if products.corrected is None else f", {products.corrected:,} corrected labels"
    kinds = {
        "grouped": "Products with equal titles or near-identical pictures are in the same part.",
        "stratified": "Near-identical products may be in different parts, so the figures below are too good.",
    }
    lines = [
        f"- Catalogue: {escape(Path(record.source.path).name)}, {products.read:,} rows read, {products.used:,} used, "
        f"{products.rejected:,} rejected, {products.sampled:,} in this run{corrected}",
        *(f"- {escape(each.name)}: {len(each.labels)} classes" for each in record.attributes),
        f"- Split: {split.kind}, {split.train:,} training, {split.validation:,} validation, {split.test:,} test "
        f"products, seed {record.seed}, hash {split.hash[:16]}. {kinds.get(split.kind, '')}",
        f"- Trained: {record.created}; encoders: {', '.join(_encoders(architecture, options))}",
    ]
    if settings is not None:
        side = settings.image_size
        lines.append(f"- Input: pictures of {side} x {side} pixels, titles of {settings.max_tokens} tokens at most")
    return "## Data and split\n\n" + "\n".join(line.rstrip() for line in lines)


def _encoders(architecture: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[str]:
    if architecture.get("image_encoder"):
        yield f"{escape(architecture['image_encoder'])} (picture)"
    if architecture.get("text_encoder"):
        yield f"{escape(Path(str(options.get('text_encoder', 'BERT'))).name)} (title)"
    if architecture.get("lexical_width"):
        yield "n-grams (letters of the title)"


def _metrics(record: RunRecord, model: str) -> str:
    rows = []
    for each in record.attributes:
        for name in (model, BASELINE):
            numbers = record.metrics.get(name, {}).get(each.name)
            if numbers:
                shown = "TF-IDF + linear SVM" if name == BASELINE else name
                rows.append([escape(each.name), shown, *(_percent(numbers.get(metric)) for metric in METRICS)])
    text = f"## Metrics\n\nOn the {record.split.test:,} products of the test part"
    if not rows:
        return f"{text}: none are recorded."
    return f"{text}:\n\n{_table(['attribute', 'model', *METRICS.values()], rows, text=2)}"


def _by_state(
    record: RunRecord, model: str, settings: ProductSettings | None, measured: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Metrics by state of modalities, from ``robustness.json``; a model of one modality has one state."""
    if settings is not None and len(settings.modalities) == 1:
        return {settings.modalities[0]: record.metrics.get(model, {}).get(record.main.name)}
    of_model = (measured.get("models") or {}).get(model) or {}
    return of_model.get("modalities") or {}


def _states(sets: Mapping[str, Any] | None, by_state: Mapping[str, Any]) -> str:
    """Accuracy, review and sets by state of modalities; dashes where nothing was measured."""
    of_sets = (sets or {}).get("states", {})
    rows = []
    for state, words in STATES.items():
        numbers, figures = by_state.get(state) or {}, of_sets.get(state, {})
        accuracy = numbers.get("accuracy", figures.get("accuracy"))
        if numbers or figures:
            size = "–" if "size" not in figures else f"{figures['size']:.2f}"
            shares = (_percent(each) for each in (accuracy, numbers.get("macro_f1"), numbers.get("needs_review")))
            rows.append([words, *shares, _percent(figures.get("coverage")), size])
    title = "## By state of modalities\n\n"
    if not rows:
        return f"{title}Not measured: `python -m training evaluate RUN --part test --robustness` does it."
    names = ["product has", "accuracy %", "macro-F1 %", "needs review %", "set holds the class %", "classes in a set"]
    promise = f" A set should hold the right class for {_percent(sets['coverage'])} % of the products." if sets else ""
    return f"{title}{_table(names, rows, text=1)}\n\nTest part; a dash was not measured.{promise}"


def _calibration(
    record: RunRecord, model: str, settings: ProductSettings | None, conflict: Mapping[str, Any] | None
) -> str:
    numbers = record.metrics.get(model, {}).get(record.main.name, {})
    lines = []
    if "ece" in numbers:
        brier = f", Brier score {numbers['brier']:.3f}" if "brier" in numbers else ""
        lines.append(f"- Expected calibration error on the test part: {numbers['ece']:.3f}{brier}")
    if settings is not None:
        main = settings.main
        lines.append(
            f"- Temperature {main.temperature:.3f}; review below a score of {main.review_threshold:.3f}, for a "
            f"precision of {_percent(settings.review_precision)} %. Both were fitted on the validation part"
        )
        lines += [
            f"- {STATES[each.modality]}: temperature {each.temperatures[0]:.3f}, review below "
            f"{each.review_thresholds[0]:.3f}"
            for each in settings.one_modality
        ]
    if conflict is not None:
        lines.append(
            f"- Picture and title of different products: {_percent(conflict['flagged'])} % are flagged, and "
            f"{_percent(conflict['false_alarms'])} % of the true pairs ({conflict['pairs']:,} test products)"
        )
    return "## Calibration\n\n" + ("\n".join(lines) if lines else "Nothing is recorded.")


def _limits(
    run: Path, model: str, record: RunRecord, settings: ProductSettings | None, measured: Mapping[str, Any]
) -> str:
    lines = [
        "- The model knows these classes only. A product of none of them gets one of them",
        *_of_classes(run / model / "test.npz", record.main.labels),
        *_of_damage(measured, model),
    ]
    if settings is not None and len(settings.modalities) < len(MODALITIES):
        lines.append(f"- It reads the {'picture' if settings.modalities[0] == 'image' else 'title'} alone")
    if not measured:
        lines.append("- Damaged pictures and titles were not measured (`evaluate --part test --robustness`)")
    return "## Limits\n\n" + "\n".join(lines)


def _of_classes(path: Path, labels: Sequence[str]) -> Iterator[str]:
    """Classes with few test products, and the classes that are missed most often."""
    if not path.is_file():
        return
    with np.load(path, allow_pickle=False) as saved:
        truth, predicted = saved["truth"][:, 0], saved["probabilities"][:, : len(labels)].argmax(1)
    known = truth >= 0
    sizes = np.bincount(truth[known], minlength=len(labels))
    found = np.bincount(truth[known & (truth == predicted)], minlength=len(labels))
    if few := int((sizes < FEW).sum()):
        yield f"- {few} of {len(labels)} classes have fewer than {FEW} test products: little is known of them"
    recall = found / np.maximum(sizes, 1)
    judged = [
        place for place in np.argsort(recall, kind="stable").tolist() if sizes[place] >= FEW and recall[place] < 1
    ]
    if judged:
        worst = ", ".join(f"{escape(labels[place])} {100 * recall[place]:.0f} %" for place in judged[:LISTED])
        yield f"- Classes that are found least often, of those with {FEW} test products or more: {worst}"


def _of_damage(measured: Mapping[str, Any], model: str) -> Iterator[str]:
    scored = [
        (each["models"][model]["accuracy"], each["name"])
        for each in measured.get("conditions", [])
        if model in each["models"] and each["kind"] != "clean"
    ]
    if scored:
        worst = "; ".join(f"{name}: {_percent(accuracy)} %" for accuracy, name in sorted(scored)[:WORST_CONDITIONS])
        yield f"- Lowest accuracy of {len(scored)} kinds of missing and damaged titles and pictures: {worst}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], *, text: int) -> str:
    """A table whose first ``text`` columns are names, the others numbers."""
    return padded_table(header, rows, right=range(text, len(header)))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"


def _read(path: Path) -> Any:
    """The content of a file of the run, or None without it.

    Raises:
        RunError: it is damaged.
    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}): measure or train again") from error
