"""The review without a browser: the order of the queue, the desk's steps, the file of corrections."""

import csv
import json
from pathlib import Path

import pytest

from client.api.errors import ClientError
from client.page.review.corrections import Corrections
from client.page.review.desk import AGAIN, DECIDE, SKIP, UNDO, ReviewDesk
from client.page.review.queue import QueuedProduct, ReviewQueue, read_queue
from training.data.corrections import read_corrections

HEADER = ["line", "id", "image", "text", "label", "score", "needs_review", "review", "set", "modalities", "top"]
TOP = json.dumps([{"label": "Bags", "score": 0.4}, {"label": "Shoes", "score": 0.3}])


def write_queue(folder: Path, rows: list[tuple[str, str, float]]) -> Path:
    """``review.csv`` of some ids, reasons and scores."""
    with (folder / "review.csv").open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        for line, (id, reason, score) in enumerate(rows, 2):
            table.writerow([line, id, "a.jpg", "Bag", "Bags", score, "true", reason, "", "image+text", TOP])
    return folder / "review.csv"


def product(id: str) -> QueuedProduct:
    return QueuedProduct(2, id, "", "Bag", 0.4, ("unsure",), (("Bags", 0.4), ("Shoes", 0.3)))


@pytest.fixture
def corrections(tmp_path: Path) -> Corrections:
    return Corrections(tmp_path / "corrections.csv")


@pytest.fixture
def desk(corrections: Corrections) -> ReviewDesk:
    desk = ReviewDesk(corrections)
    desk.open(ReviewQueue([product(id) for id in ("a", "b", "c")], ""), labels=["Hats"], attribute="articleType")
    return desk


def on_desk(desk: ReviewDesk) -> str | None:
    card = desk.view().card
    return card and card.product.id


def test_the_queue_goes_by_reason_then_by_doubt(tmp_path: Path) -> None:
    both = "unsure+picture_and_title_disagree"
    path = write_queue(
        tmp_path,
        [("u2", "unsure", 0.3), ("u1", "unsure", 0.1), ("d2", "picture_and_title_disagree", 0.9), ("d1", both, 0.2),
         ("new", "a_reason_of_tomorrow", 0.0), ("none", "", 0.0)],
    )  # fmt: skip
    assert [each.id for each in read_queue(path).products] == ["d1", "d2", "u1", "u2", "new", "none"]


def test_cells_come_back_as_they_were_before_a_spreadsheet(tmp_path: Path) -> None:
    path = write_queue(tmp_path, [("'=1+1", "unsure", 0.1), ("-5", "unsure", 0.2), ("'s", "unsure", 0.3)])
    assert [each.id for each in read_queue(path).products] == ["=1+1", "-5", "'s"]


def test_rows_with_one_id_are_one_product_and_it_is_said(tmp_path: Path) -> None:
    queue = read_queue(write_queue(tmp_path, [("a", "unsure", 0.1), ("a", "unsure", 0.2), ("b", "unsure", 0.3)]))
    assert [(each.id, each.line) for each in queue.products] == [("a", 2), ("b", 4)]
    assert queue.note.startswith("1 rows share an id")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,label\na,Bags\n", "no review.csv of `client score`: it has no column 'line', 'image'"),
        ("", "cannot be read as review.csv"),
        (",".join(HEADER) + "\n2,a,,Bag,Bags,high,true,unsure,,text,[]\n", "the row of line '2' was changed"),
        (",".join(HEADER) + "\n2,a,,Bag,Bags,0.1,true,unsure,,text,Bags\n", "the row of line '2' was changed"),
    ],
)
def test_another_table_is_no_queue(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "review.csv").write_text(content, encoding="utf-8")
    with pytest.raises(ClientError, match=said):
        read_queue(tmp_path / "review.csv")


def test_steps_go_on_and_back(desk: ReviewDesk, corrections: Corrections) -> None:
    assert [*desk.view().labels] == ["Bags", "Hats", "Shoes"]
    assert desk.act(DECIDE, 0, "Shoes").said == "Saved: a is Shoes."
    assert desk.act(SKIP, 1).said == "Skipped b."
    assert desk.act(DECIDE, 2, "Capes").said == "Saved: c is Capes. It is a new class."
    view = desk.view()
    assert (view.card, view.decided, view.skipped) == (None, 2, 1)
    assert corrections.labels() == {"a": "Shoes", "c": "Capes"}
    desk.act(UNDO, -1)
    assert on_desk(desk) == "c" and corrections.labels() == {"a": "Shoes"}
    desk.act(UNDO, 2)
    assert on_desk(desk) == "b"
    desk.act(SKIP, 1), desk.act(SKIP, 2)
    assert on_desk(desk) is None and desk.act(AGAIN, -1).skipped == 0 and on_desk(desk) == "b"
    for _ in range(9):
        desk.act(UNDO, 0)
    assert on_desk(desk) == "a" and corrections.labels() == {} and not desk.view().can_undo


def test_a_late_step_decides_nothing(desk: ReviewDesk, corrections: Corrections) -> None:
    desk.act(DECIDE, 0, "Bags")
    desk.act(DECIDE, 0, "Shoes")
    assert corrections.labels() == {"a": "Bags"} and on_desk(desk) == "b"


def test_a_decision_that_cannot_be_written_stays_on_the_desk(desk: ReviewDesk, corrections: Corrections) -> None:
    with pytest.raises(ClientError, match="the right class is empty"):
        desk.act(DECIDE, 0, "  ")
    corrections.path.write_text("another,table\n1,2\n", encoding="utf-8")
    with pytest.raises(ClientError, match="is no file of corrections"):
        desk.act(DECIDE, 0, "Bags")
    corrections.path.unlink()
    assert on_desk(desk) == "a" and not desk.view().can_undo


def test_training_reads_what_is_written(corrections: Corrections) -> None:
    wanted = {'a,"b"': "Bags", "=1+1": "Küche: large|small", "007": "Shoes", " d ": "  two   words "}
    for id, label in wanted.items():
        corrections.put(id, label)
    corrections.put("007", "Hats")
    corrections.remove("=1+1")
    found = {each.id: each.label for each in read_corrections(corrections.path)}
    assert found == {'a,"b"': "Bags", "007": "Hats", "d": "two words"} == corrections.labels()


def test_what_an_audit_wrote_stays_and_is_not_corrected_twice(corrections: Corrections) -> None:
    corrections.path.write_text(
        "\ufeffid,column,given,label\na,articleType,Tops,Bags\na,gender,Men,Women\n", encoding="utf-8"
    )
    corrections.put("a", "Shoes", attribute="articleType")
    corrections.put("b", "Hats", attribute="articleType")
    assert [each[1:] for each in read_corrections(corrections.path)] == [
        ("a", "articleType", "Tops", "Shoes"),
        ("a", "gender", "Men", "Women"),
        ("b", "", "", "Hats"),
    ]
    assert corrections.labels(attribute="articleType") == {"a": "Shoes", "b": "Hats"}


@pytest.mark.parametrize("text", ["id;label\na;Bags\n", "id,label\na,Bags,more\n", "sku,label\n"])
def test_another_file_is_never_overwritten(tmp_path: Path, text: str) -> None:
    path = tmp_path / "corrections.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ClientError, match=r"corrections\.csv .*(another file)"):
        Corrections(path)
    assert path.read_text(encoding="utf-8") == text


def test_two_pages_share_a_file(tmp_path: Path) -> None:
    one, two = (Corrections(tmp_path / "corrections.csv") for _ in range(2))
    one.put("a", "Bags")
    two.put("b", "Shoes")
    assert one.labels() == two.labels() == {"a": "Bags", "b": "Shoes"}
