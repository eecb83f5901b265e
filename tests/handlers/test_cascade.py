"""The cascade: which products take an exit, what is not read, and when the exits shut."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import draw, encode
from serving import TITLES, Worker, document, form

from handlers.product_serving.cascade import LEAST, WINDOW, AgreementWatch
from handlers.product_serving.settings import Cascade, OneModality

PICTURE = encode(draw())
TRUNCATED = PICTURE[: len(PICTURE) // 2]  # its header is fine, its pixels are not
LETTERS = {"modality": "text", "temperatures": [1.0], "review_thresholds": [0.5], "hierarchy_temperatures": []}
OPEN, CLOSED = 0.0, 2.0
BY_LETTERS = {"letters_threshold": OPEN, "letters_alone_threshold": OPEN, "title_threshold": CLOSED}
BY_TITLE = {"letters_threshold": CLOSED, "letters_alone_threshold": CLOSED, "title_threshold": OPEN}
NO_EXIT = {"letters_threshold": CLOSED, "letters_alone_threshold": CLOSED, "title_threshold": CLOSED}


@pytest.fixture
def served(copy_archive: Callable[..., Path]) -> Callable[..., Worker]:
    """A worker of an archive with a cascade; the arguments are its thresholds."""

    def serve(*, conflict: float | None = None, **values: Any) -> Worker:
        cascade = {"letters": LETTERS, "sample": 10**6, **values}
        return Worker(copy_archive(cascade=cascade, conflict_threshold=conflict))

    return serve


def read(worker: Worker, *requests: Any) -> list[tuple[Any, ...]]:
    """What was computed, read and not read for each request."""
    answers = [answer.json for answer in worker.ask(*requests)]
    return [tuple(answer[name] for name in ("computed", "modalities", "not_read", "early")) for answer in answers]


def test_a_title_that_says_enough_is_answered_by_its_letters(served: Callable[..., Worker]) -> None:
    worker = served(**BY_LETTERS)
    both, alone, picture = read(worker, form(image=PICTURE, text=TITLES[0]), form(text=TITLES[0]), form(image=PICTURE))
    assert both == (["lexical"], ["text"], ["image"], True)
    assert alone == (["lexical"], ["text"], [], True)
    assert picture == (["image"], ["image"], [], False)


def test_the_whole_title_is_the_next_exit(served: Callable[..., Worker]) -> None:
    worker = served(**BY_TITLE)
    both, alone = read(worker, form(image=PICTURE, text=TITLES[0]), form(text=TITLES[0]))
    assert both == (["lexical", "text"], ["text"], ["image"], True)
    assert alone == (["lexical", "text"], ["text"], [], False)
    [together], [title] = worker.ask(form(image=PICTURE, text=TITLES[0])), worker.ask(form(text=TITLES[0]))
    assert together.json["top"] == title.json["top"]


def test_without_an_exit_the_answer_is_the_full_one(served: Callable[..., Worker], worker: Worker) -> None:
    asked = form(image=PICTURE, text=TITLES[0])
    [answer], [full] = served(**NO_EXIT).ask(asked), worker.ask(asked)
    assert answer.json["top"] == full.json["top"] and answer.json["computed"] == ["lexical", "text", "image"]
    assert "computed" not in full.json


@pytest.mark.parametrize("ask", [lambda product: form(**product, effort="full"), None])
def test_a_request_can_ask_for_everything(served: Callable[..., Worker], ask: Any) -> None:
    worker = served(**BY_LETTERS)
    if ask is None:
        headers, fields = form(image=PICTURE, text=TITLES[0])
        asked: Any = ({**headers, "explain": "True"}, fields)
    else:
        asked = ask({"image": PICTURE, "text": TITLES[0]})
    assert read(worker, asked) == [(["lexical", "text", "image"], ["image", "text"], [], False)]


@pytest.mark.parametrize("effort", ["most", "", "FULL"])
def test_an_unknown_effort_is_refused(worker: Worker, effort: str) -> None:
    [answer] = worker.ask(document({"text": TITLES[0], "effort": effort}))
    assert (answer.status, answer.json["type"]) == (400, "out_of_range")


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (b"GIF89a" + bytes(20), "unsupported_image"),
        (b"", "image_empty"),
        (encode(draw().resize((1, 9))), "image_bad_shape"),
    ],
)
def test_what_the_header_shows_is_refused_as_without_a_cascade(
    served: Callable[..., Worker], worker: Worker, picture: bytes, code: str
) -> None:
    asked = form(image=picture, text=TITLES[0])
    [answer], [plain] = served(**BY_LETTERS).ask(asked), worker.ask(asked)
    assert answer.json == plain.json and answer.json["type"] == code


def test_damage_deeper_in_a_picture_is_seen_only_where_it_is_read(served: Callable[..., Worker]) -> None:
    asked = form(image=TRUNCATED, text=TITLES[0])
    [early] = served(**BY_LETTERS).ask(asked)
    assert early.status == 200 and early.json["not_read"] == ["image"]
    [full] = served(**NO_EXIT).ask(asked)
    assert full.json["type"] == "image_corrupt"
    [sampled] = served(**BY_LETTERS, **{"sample": 1}).ask(asked)
    assert sampled.status == 200, "the answer must not depend on whether the product was sampled"


def test_a_sampled_product_is_computed_in_full(served: Callable[..., Worker]) -> None:
    worker = served(**BY_LETTERS, **{"sample": 3})
    products = [form(image=PICTURE, text=TITLES[0])] * 6
    early = [answer.json["early"] for answer in worker.ask(*products)]
    assert early == [True, True, False, True, True, False]
    checks = {key[1]: count for key, count in worker.handler.metrics._counts.items() if "checks" in key[0]}
    assert sum(checks.values()) == 2


def test_broken_products_fail_alone(served: Callable[..., Worker]) -> None:
    worker = served(**BY_TITLE)
    answers = worker.ask(
        form(image=TRUNCATED), form(image=PICTURE, text=TITLES[0]), form(text=" "), form(text=TITLES[1])
    )
    assert [answer.status for answer in answers] == [422, 200, 400, 200]


def watch(**values: Any) -> AgreementWatch:
    letters = OneModality(modality="text", temperatures=(1.0,), review_thresholds=(0.5,))
    return AgreementWatch(
        Cascade(letters=letters, letters_threshold=0, letters_alone_threshold=0, title_threshold=0, **values)
    )


def test_the_exits_shut_when_too_many_answers_differ_and_open_again() -> None:
    seen = watch(min_agreement=0.995)
    seen.record([True] * WINDOW)
    assert seen.open
    seen.record([False] * 11)
    assert seen.open
    seen.record([False])
    assert not seen.open and seen.sampled(), "while they are shut, every product is compared"
    seen.record([True] * (LEAST - 1))
    assert not seen.open
    seen.record([True])
    assert seen.open


def test_chance_alone_does_not_shut_the_exits() -> None:
    seen, random = watch(min_agreement=0.995), np.random.default_rng(0)
    seen.record((random.random(20_000) > 0.003).tolist())
    assert seen.open


@pytest.mark.parametrize(("threshold", "flagged"), [(0.0, True), (-1e9, False), (None, False)])
def test_a_conflict_of_picture_and_title_needs_review(
    copy_archive: Callable[..., Path], threshold: float | None, flagged: bool
) -> None:
    worker = Worker(copy_archive(conflict_threshold=threshold, review_threshold=0.0))
    both, title, picture = (
        answer.json
        for answer in worker.ask(form(image=PICTURE, text=TITLES[0]), form(text=TITLES[0]), form(image=PICTURE))
    )
    assert both["review"] == ["picture_and_title_disagree"] * flagged and both["needs_review"] == flagged
    assert title["review"] == picture["review"] == [], "one modality cannot disagree"


def test_several_reasons_stand_together(copy_archive: Callable[..., Path]) -> None:
    worker = Worker(copy_archive(conflict_threshold=0.0, review_threshold=1.0))
    [answer] = worker.ask(form(image=PICTURE, text=TITLES[0]))
    assert answer.json["review"] == ["unsure", "picture_and_title_disagree"] and answer.json["needs_review"]
