"""An audit by the command line, of products whose wrong labels are known; and how answers become findings."""

import csv
from pathlib import Path

import numpy as np
import pytest
from known_model import BLUE, LABELS, RED, picture

from client.__main__ import main
from client.audit.audit_folder import RECORD
from client.audit.finding_kinds import MAJORITY, MODALITIES_DIFFER, UNANIMOUS
from client.audit.findings import AuditAnswers, find_label_errors, mean_probabilities
from client.audit.sheet import FINDINGS, SHEET, reason_sentence

BAG, SHOE = LABELS
CLASSES = ("Bags", "Hats", "Shoes")


def answers(*products: tuple[str, dict[str, dict[str, float]]]) -> AuditAnswers:
    """A label each, with what every modality says."""
    rows = [{"id": f"p{row}", "line": row + 2, "image": "", "text": ""} for row in range(len(products))]
    nothing = dict.fromkeys(CLASSES, np.nan)
    said = {
        modality: np.array(
            [list(by_modality.get(modality, nothing).values()) for _, by_modality in products], dtype=np.float32
        )
        for modality in ("picture", "title", "together")
    }
    return AuditAnswers(rows, np.array([given for given, _ in products]), CLASSES, said)


def sure(label: str, score: float = 0.9) -> dict[str, float]:
    rest = (1 - score) / (len(CLASSES) - 1)
    return {each: score if each == label else rest for each in CLASSES}


def all_answers(label: str) -> dict[str, dict[str, float]]:
    return dict.fromkeys(("picture", "title", "together"), sure(label))


RIGHT = [(label, all_answers(label)) for label in CLASSES for _ in range(10)]


def test_a_label_that_all_answers_contradict_comes_first() -> None:
    doubtful = {"picture": sure("Hats", 0.5), "title": sure("Bags", 0.4), "together": sure("Hats", 0.6)}
    found = find_label_errors(answers(*RIGHT, ("Bags", doubtful), ("Bags", all_answers("Shoes"))))
    assert [(each.id, each.kind, each.suggested) for each in found] == [
        ("p31", UNANIMOUS, "Shoes"),
        ("p30", MAJORITY, "Hats"),
    ]
    assert found[0].clear and found[0].quality == pytest.approx(0.05)
    assert reason_sentence(found[0]) == "All answers are Shoes."
    assert reason_sentence(found[1]) == "The picture and both together say Hats, the title supports the label."


def test_modalities_that_contradict_each_other_come_after_wrong_labels() -> None:
    torn = {"picture": sure("Hats"), "title": sure("Bags"), "together": sure("Bags")}
    unsure = {"picture": sure("Hats", 0.7), "title": sure("Bags"), "together": sure("Bags")}
    found = find_label_errors(answers(*RIGHT, ("Bags", torn), ("Bags", unsure), ("Hats", all_answers("Bags"))))
    assert [(each.id, each.kind, each.suggested) for each in found] == [
        ("p32", UNANIMOUS, "Bags"),
        ("p30", MODALITIES_DIFFER, "Hats"),
    ]
    assert reason_sentence(found[1]) == "The picture looks like Hats, the title reads like Bags."


def test_one_modality_is_enough_and_an_unknown_label_is_left_out() -> None:
    one = {"together": sure("Shoes"), "title": sure("Shoes")}
    found = find_label_errors(answers(*RIGHT, ("Bags", one), ("Scarves", all_answers("Hats"))))
    assert [each.id for each in found] == ["p30"]
    assert find_label_errors(answers(("Scarves", all_answers("Hats")))) == []


def test_a_mean_is_over_the_modalities_that_a_product_has() -> None:
    said = {"together": sure("Bags", 0.7), "title": sure("Hats", 0.5)}
    [row] = mean_probabilities(answers(("Bags", said)))
    np.testing.assert_allclose(row, [0.475, 0.325, 0.2], atol=1e-6)


def test_a_product_without_answers_has_no_mean_and_the_others_keep_theirs() -> None:
    """A server may name no class that the archive knows."""
    means = mean_probabilities(answers(("Bags", all_answers("Hats")), ("Scarves", {})))
    np.testing.assert_allclose(means, [[0.05, 0.9, 0.05], [np.nan] * 3], atol=1e-6)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Red shoes and blue bags, three of them labelled wrong, one with the other one's picture; and rows at fault."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "red.png").write_bytes(picture(RED))
    (folder / "blue.png").write_bytes(picture(BLUE))
    rows = [[str(row), "red.png" if row % 2 else "blue.png", "Shoe" if row % 2 else "Bag"] for row in range(20)]
    labels = [SHOE if row % 2 else BAG for row in range(20)]
    for row in (3, 5, 8):
        labels[row] = BAG if labels[row] == SHOE else SHOE
    rows[10][1] = "red.png"
    rows[11][2] = "<script>alert(1)</script> Shoe"
    rows[3][2] = "=Shoe, 'quoted' & <b>bold</b>"
    rows[5][1] = ""
    rows += [["20", "none.png", "Bag"], ["21", "red.png", "Shoe"], ["22", "red.png", "Shoe"]]
    with (folder / "products.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "image", "text", "kind"])
        writer.writerows([*row, label] for row, label in zip(rows, [*labels, BAG, "", "Scarves"], strict=True))
    return folder / "products.csv"


def test_an_audit_by_the_command_line(
    shop: Path, known_archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "audit"
    arguments = ["audit", str(shop), "--labels", "kind", "--out", str(out), "--model", "known"]
    engine = ["--engine", "local", "--archive", str(known_archive)]
    assert main([*arguments, *engine]) == 0
    said = capsys.readouterr().out
    assert "21 labelled products were answered" in said
    assert "1 could not be checked, since the model does not know their label (1 labels: 'Scarves' 1)" in said
    with (out / FINDINGS).open(encoding="utf-8-sig", newline="") as file:
        found = {row["id"]: row for row in csv.DictReader(file)}
    assert {row for row, each in found.items() if each["kind"] == UNANIMOUS} == {"3", "5", "8"}
    assert found["10"]["kind"] in (MODALITIES_DIFFER, MAJORITY)
    assert (found["3"]["given"], found["3"]["suggested"], found["3"]["column"]) == (BAG, SHOE, "kind")
    assert found["3"]["title"] == "'=Shoe, 'quoted' & bold", "a spreadsheet would run it"
    assert found["5"]["picture_label"] == "" and found["5"]["title_label"] == SHOE
    sheet = (out / SHEET).read_text(encoding="utf-8")
    assert sheet.count("<article") == len(found) and sheet.count("data:image/jpeg;base64,") == len(found) - 1
    assert "<b>bold" not in sheet and "&amp; bold" in sheet and "default-src &#39;none&#39;" not in sheet
    assert "http://" not in sheet and "https://" not in sheet
    assert main([*arguments, *engine]) == 0
    assert capsys.readouterr().out.count("Already done") == 3
    assert (out / SHEET).read_text(encoding="utf-8") == sheet


def test_another_audit_does_not_take_the_folder(
    shop: Path, known_archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "audit"
    arguments = ["audit", str(shop), "--out", str(out), "--model", "known", "--engine", "local"]
    arguments += ["--archive", str(known_archive), "--labels"]
    assert main([*arguments, "kind"]) == 0
    before = (out / SHEET).read_bytes(), (out / FINDINGS).read_bytes()
    capsys.readouterr()
    assert main([*arguments, "text"]) == 1
    told = capsys.readouterr()
    assert "holds another audit: --labels: kind there, text now" in told.err and "--replace" in told.err
    assert told.out == "" and ((out / SHEET).read_bytes(), (out / FINDINGS).read_bytes()) == before
    (out / RECORD).unlink()
    assert main([*arguments, "kind"]) == 1
    assert "findings.csv and audit.html of an unknown audit" in capsys.readouterr().err
    assert main([*arguments, "text", "--replace"]) == 1  # no title is a label that the model knows
    told = capsys.readouterr()
    assert "no label could be checked: the model knows none of" in told.err and "Already done" not in told.out
    assert not (out / FINDINGS).exists()


def test_a_catalogue_that_cannot_be_audited_is_a_sentence(
    shop: Path, known_archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--out", str(tmp_path / "out"), "--engine", "local", "--archive", str(known_archive)]
    assert main(["audit", str(shop), "--labels", "colour", *arguments]) == 1
    assert main(["audit", str(tmp_path / "none.csv"), "--labels", "kind", *arguments]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert "no column 'colour'; its columns are 'id', 'image', 'text', 'kind'" in errors[0]
    assert "none.csv does not exist" in errors[1]
    assert not (tmp_path / "out").exists()
