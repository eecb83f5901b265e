"""Hostile and mistaken requests through the whole handler: each gets its error, and other requests are unaffected."""

import json
import time
from typing import Any

import numpy as np
import pytest
from hostile import ACCEPTED, HOSTILE, PICTURE, TITLE
from pictures import turned
from serving import TITLES, Worker, document, explained, form, same

from handlers.product_serving.errors import ERROR_CODES

NEIGHBOURS = [form(image=PICTURE, text=TITLE), document({"text": TITLES[1], "top_k": 3})]


def test_the_list_is_long() -> None:
    assert len(HOSTILE) >= 60 and set(ERROR_CODES) >= {kind for _, kind in HOSTILE.values()}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_request_gets_its_code_and_its_neighbours_their_answers(worker: Worker, name: str) -> None:
    build, kind = HOSTILE[name]
    request = build()
    alone = [worker.ask(neighbour)[0] for neighbour in NEIGHBOURS]
    started = time.process_time()
    first, bad, last = worker.ask(NEIGHBOURS[0], request, NEIGHBOURS[1])
    assert time.process_time() - started < 2
    error = bad.json
    if "predictions" in error:
        [error] = error["predictions"]
    assert (error["type"], error["code"], bad.status) == (kind, ERROR_CODES[kind], ERROR_CODES[kind])
    assert set(error) == {"code", "type", "message"} and len(error["message"]) < 200
    assert bad.body.isascii() and bad.phrase.isascii() and bad.content_type == "application/json"
    assert same(first, alone[0]) and same(last, alone[1])


def test_a_bad_request_for_explanations_gets_the_same_code(worker: Worker) -> None:
    names = [name for name in HOSTILE if not any(sign in name for sign in ("0,000", "bomb", "MB", "million", "huge"))]
    for start in range(0, len(names), 16):
        batch = names[start : start + 16]
        for name, answer in zip(batch, worker.ask(*(explained(HOSTILE[name][0]()) for name in batch)), strict=True):
            error = answer.json.get("predictions", [answer.json])[0]
            assert (error["type"], error["code"]) == (HOSTILE[name][1], ERROR_CODES[HOSTILE[name][1]]), name


@pytest.mark.parametrize("name", ACCEPTED)
def test_unusual_but_valid_requests_are_answered(worker: Worker, name: str) -> None:
    request = ACCEPTED[name]()
    alone = [worker.ask(each)[0] for each in (NEIGHBOURS[0], request)]
    first, strange = worker.ask(NEIGHBOURS[0], request)
    assert strange.status == 200, strange.body
    assert same(first, alone[0])
    for one, other in zip(
        *(answer.json.get("predictions", [answer.json]) for answer in (strange, alone[1])), strict=True
    ):
        assert one["label"] == other["label"] and abs(one["score"] - other["score"]) <= 1e-5


def test_a_batch_of_nothing_but_bad_requests(worker: Worker) -> None:
    names = [name for name in HOSTILE if "bomb" in name or "top_k" in name or "json" in name]
    answers = worker.ask(*(HOSTILE[name][0]() for name in names))
    assert [answer.status for answer in answers] == [ERROR_CODES[HOSTILE[name][1]] for name in names]


@pytest.mark.parametrize("seed", range(20))
def test_good_answers_in_mixed_batches_equal_their_solo_answers(worker: Worker, seed: int) -> None:
    random = np.random.default_rng(seed)
    cheap = [
        build for name, (build, _) in HOSTILE.items() if not any(sign in name for sign in ("0,000", "bomb", "MB", "of"))
    ]
    good = [form(image=PICTURE, text=TITLE), form(text=TITLES[2]), form(image=turned(8)), document({"text": "a b c"})]
    requests = [
        cheap[random.integers(len(cheap))]() if bad else good[random.integers(len(good))]
        for bad in random.permutation(np.arange(8) < 1 + seed % 7)
    ]
    for request, answer in zip(requests, worker.ask(*requests), strict=True):
        assert same(answer, worker.ask(request)[0])


def test_requests_decoded_by_torchserve_are_read(worker: Worker) -> None:
    """With decode_input_request on, the values come as str, dict, list or None."""
    context = worker.handler_context(["application/json"] * 6 + ["text/plain"] * 2)
    rows: list[dict[str, Any]] = [
        {"body": {"text": TITLE}},
        {"body": {"instances": [{"text": TITLE}]}},
        {"body": None},
        {"body": [1]},
        {"body": {"text": TITLE, "top_k": float("nan")}},
        {"body": 10**400},
        {"body": TITLE},
        {"body": "shoe \ud800"},
    ]
    answers = [json.loads(answer) for answer in worker.handler.handle(rows, context)]
    kinds = [answer.get("type") for answer in answers]
    assert kinds == [None, None, "invalid_json", "invalid_json", "out_of_range", "invalid_json", None, "invalid_text"]
    assert answers[0] == answers[6] == answers[1]["predictions"][0]
