"""Writes the results of an audit: an HTML sheet for a person's decisions, and a CSV of all findings.

The sheet is one self-contained file: it embeds its pictures and its script, and its policy forbids all other scripts.
It downloads the ticked products as a CSV for ``python -m training train --corrections FILE``.
"""

import base64
import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image
from tqdm import tqdm

from client.audit.finding_kinds import MEANING, MODALITIES_DIFFER, UNANIMOUS
from client.audit.findings import Finding
from client.audit.modalities import PICTURE, TITLE, TOGETHER
from training.catalog import CatalogFiles, CatalogSource, RowError, decode_picture, escape_formula, open_files
from training.system.storage import CSV_ENCODING, atomic_path

SHEET, FINDINGS = "audit.html", "findings.csv"
TEMPLATES = Path(__file__).parent / "templates"
THUMBNAIL, QUALITY = 200, 80
COLUMNS = (
    "id", "line", "column", "given", "suggested", "kind", "clear", "quality", "title",
    *(f"{modality}_{value}" for modality in (PICTURE, TITLE, TOGETHER) for value in ("label", "score")),
)  # fmt: skip
_NAMES = {PICTURE: "Picture", TITLE: "Title", TOGETHER: "Both"}


def write_findings(path: Path, found: Sequence[Finding], *, column: str) -> None:
    """Write the findings as CSV, one line each; cells are escaped so that a spreadsheet runs no formula in them.

    Args:
        path: CSV to write.
        found: findings, see :func:`client.audit.findings.find_label_errors`.
        column: column of the labels.
    """
    with atomic_path(path) as partial, partial.open("w", encoding=CSV_ENCODING, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for each in found:
            answers = {answer.modality: (answer.label, f"{answer.score:.4f}") for answer in each.answers}
            cells = [cell for modality in (PICTURE, TITLE, TOGETHER) for cell in answers.get(modality, ("", ""))]
            own = (each.id, str(each.line), column, each.given, each.suggested, each.kind)
            judged = (json.dumps(each.clear), f"{each.quality:.4f}", each.text)
            writer.writerow([escape_formula(cell) for cell in (*own, *judged, *cells)])


def write_sheet(
    path: Path, found: Sequence[Finding], *, source: CatalogSource, labels: Sequence[str], checked: int
) -> None:
    """Write the sheet.

    Args:
        path: HTML to write.
        found: findings in the order of the sheet.
        source: the catalogue.
        labels: labels that a person can choose.
        checked: number of products in the audit.
    """
    files = open_files(source.path)
    shown = tqdm(found, desc="pictures", unit="product", leave=False, disable=None)
    cards = [_card(each, number, files) for number, each in enumerate(shown)]
    script = (TEMPLATES / "sheet.js").read_text(encoding="utf-8")
    counts = Counter(each.kind for each in found)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    document = environment.get_template("sheet.html").render(
        catalogue=Path(source.path).name,
        column=source.label_column,
        cards=cards,
        labels=sorted(labels),
        checked=checked,
        clear=sum(each.clear for each in found),
        kinds=[(kind, text, counts[kind]) for kind, text in MEANING.items() if counts[kind]],
        key=hashlib.sha256(json.dumps([[each.id, each.given] for each in found]).encode()).hexdigest()[:16],
        style=Markup((TEMPLATES / "sheet.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    with atomic_path(path) as partial:
        partial.write_text(document, encoding="utf-8")


def reason_sentence(found: Finding) -> str:
    """The reason of a finding as a sentence."""
    if found.kind == MODALITIES_DIFFER:
        best = {each.modality: each.label for each in found.answers}
        return f"The picture looks like {best[PICTURE]}, the title reads like {best[TITLE]}."
    if found.kind == UNANIMOUS and len(found.answers) > 1:
        return f"All answers are {found.suggested}."
    against = _subject_and_verb([each.modality for each in found.answers if each.label == found.suggested], "say")
    backing = _subject_and_verb([each.modality for each in found.answers if each.label == found.given], "support")
    text = f"{against} {found.suggested}" if against else f"No answer is sure, but {found.suggested} is more probable"
    return f"{text[:1].upper()}{text[1:]}{f', {backing} the label' if backing else ''}."


def _subject_and_verb(modalities: Sequence[str], verb: str) -> str:
    """Such as "the picture and the title say"; "" without modalities."""
    names = [{TOGETHER: "both together"}.get(modality, f"the {modality}") for modality in modalities]
    plural = len(modalities) > 1 or modalities == [TOGETHER]
    return f"{' and '.join(names)} {verb if plural else verb + 's'}" if names else ""


def _card(found: Finding, number: int, files: CatalogFiles) -> dict[str, Any]:
    return {
        "number": number,
        "found": found,
        "reason": reason_sentence(found),
        "kind": MEANING[found.kind],
        "picture": _picture(found.image, files),
        "answers": [(_NAMES[each.modality], each, each.label == found.given) for each in found.answers],
    }


def _picture(name: str, files: CatalogFiles) -> str | None:
    """A thumbnail as a data URI; None without a readable picture."""
    if not name:
        return None
    try:
        picture = decode_picture(files.read(name), name=name)
    except RowError:
        return None
    picture.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
