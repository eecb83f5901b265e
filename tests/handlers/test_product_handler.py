"""The handler as a worker runs it: answers, batches, single modalities and log lines."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pictures import blank_png, draw, encode, turned
from PIL import Image
from serving import LABELS, TITLES, OnlyLogits, Request, Worker, b64, bare, document, form, same, seal

from handlers.product_serving.archive import ArchiveError
from handlers.product_serving.engines.engine import Batch, EngineError
from handlers.product_serving.service import LARGE_PICTURE

PICTURE = encode(draw())
Fail = Callable[[], float | None]


def test_an_answer_has_all_that_the_contract_names(worker: Worker) -> None:
    [answer] = worker.ask(form(image=PICTURE, text=TITLES[0], top_k="2"))
    assert (answer.status, answer.phrase, answer.content_type) == (200, "OK", "application/json")
    assert set(answer.json) == {"label", "score", "top", "modalities", "needs_review", "review", "model"}
    assert len(answer.json["top"]) == 2
    assert answer.json["top"][0] == {"label": answer.json["label"], "score": answer.json["score"]}
    assert answer.json["modalities"] == ["image", "text"]
    assert answer.json["model"] == {
        "name": "tiny",
        "version": "1.0",
        "backend": "onnx",
        "backend_reason": "no GPU",
    }
    assert answer.body.isascii()


def test_scores_are_the_golden_ones(worker: Worker, archive: Path) -> None:
    for golden in json.loads((archive / "manifest.json").read_text())["golden"]:
        fields = {name: golden[name] for name in ("image", "text") if golden[name] is not None}
        [answer] = worker.ask(document(fields))
        assert {"label": answer.json["label"]} == golden["labels"]
        assert answer.json["score"] == pytest.approx(max(golden["scores"]), abs=1e-5)
        assert sum(entry["score"] for entry in answer.json["top"]) == pytest.approx(1, abs=1e-5)


def test_every_form_gives_the_same_answer(worker: Worker) -> None:
    image, text = b64(PICTURE), TITLES[0]
    [reference] = worker.ask(form(image=PICTURE, text=text))
    others: list[Request] = [
        document({"image": image, "text": text}),
        document({"image": f"data:image/png;base64,{image}", "text": text}),
        document({"image": {"b64": image}, "text": text}),
        ({}, [("image", PICTURE, ""), ("text", text.encode(), "")]),  # gRPC: no headers at all
    ]
    for answer in worker.ask(*others):
        assert same(answer, reference)
    [many] = worker.ask(document({"instances": [{"image": image, "text": text}]}))
    assert many.json["predictions"] == [reference.json]


@pytest.mark.parametrize(
    "content_type", ["image/png", "image/jpeg", "IMAGE/PNG; q=1", None, "application/octet-stream"]
)
def test_a_bare_picture(worker: Worker, content_type: str | None) -> None:
    bare_answer, reference = worker.ask(bare(PICTURE, content_type), form(image=PICTURE))
    assert same(bare_answer, reference) and reference.json["modalities"] == ["image"]


@pytest.mark.parametrize("content_type", ["text/plain", "text/plain; charset=utf-8", None])
def test_a_bare_title(worker: Worker, content_type: str | None) -> None:
    bare_answer, reference = worker.ask(bare(TITLES[0].encode(), content_type), form(text=TITLES[0]))
    assert same(bare_answer, reference) and reference.json["modalities"] == ["text"]


def test_instances_answer_each_product_and_its_error(worker: Worker) -> None:
    products = [{"text": TITLES[0]}, {"image": "!"}, {"image": b64(PICTURE[:50])}, 7, {"text": TITLES[1], "top_k": 1}]
    [answer] = worker.ask(document({"instances": products}))
    first, no_base64, corrupt, no_product, last = answer.json["predictions"]
    assert answer.status == 200
    assert [error["type"] for error in (no_base64, corrupt, no_product)] == [
        "invalid_base64",
        "image_corrupt",
        "invalid_json",
    ]
    assert first["label"] in LABELS and len(last["top"]) == 1


def test_top_k_is_clipped_to_the_labels(worker: Worker) -> None:
    [answer] = worker.ask(form(text=TITLES[0], top_k="20"))
    assert sorted(entry["label"] for entry in answer.json["top"]) == sorted(LABELS)
    scores = [entry["score"] for entry in answer.json["top"]]
    assert scores == sorted(scores, reverse=True)


def test_a_grpc_call_is_told_that_its_answer_is_the_last(worker: Worker) -> None:
    """Each HTTP request has a Content-Length, and its answer not that header; a stream of questions gets no answer."""
    fields = form(text=TITLES[0])[1]
    http = {"content-length": "9", "ts_request_sequence_id": "s"}
    answers = worker.ask(({}, fields), (http, fields), ({"ts_request_sequence_id": "s"}, fields), ({}, form(x="")[1]))
    assert [answer.status for answer in answers] == [200, 200, 400]
    assert [answer.headers.get("ts_stream_next") for answer in answers] == ["false", None, "false"]
    assert worker.ask(({"ts_request_sequence_id": "s"}, fields)) == []
    [hidden] = worker.ask(({}, form(text=TITLES[0], **{"content-length": "9"})[1]))
    assert hidden.headers["ts_stream_next"] == "false"


def test_all_orientations_have_the_same_answer(worker: Worker) -> None:
    answers = worker.ask(*(form(image=turned(orientation)) for orientation in range(1, 9)))
    assert all(same(answer, answers[0]) for answer in answers)
    [mirrored] = worker.ask(form(image=encode(draw().transpose(0))))  # type: ignore[arg-type]
    assert not same(mirrored, answers[0])


def test_answers_do_not_depend_on_the_batch(worker: Worker) -> None:
    requests = [form(image=PICTURE, text=TITLES[0]), form(image=turned(3)), form(text="a " * 40), form(text=TITLES[1])]
    alone = [worker.ask(request)[0] for request in requests]
    for count in (2, 3, 4, 40):
        together = worker.ask(*(requests[number % 4] for number in range(count)))
        assert all(same(answer, alone[number % 4]) for number, answer in enumerate(together))


def test_large_and_small_pictures_keep_their_places(worker: Worker) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    large = encode(Image.fromarray(noise))
    assert len(large) > LARGE_PICTURE > len(PICTURE)
    pictures = [large, PICTURE, large[:-30_000], PICTURE[:50], encode(Image.fromarray(noise[::-1])), PICTURE]
    requests = [form(image=picture, text=TITLES[0]) for picture in pictures]
    alone = [worker.ask(request)[0] for request in requests]
    assert [answer.status for answer in alone] == [200, 200, 422, 422, 200, 200]
    assert not same(alone[0], alone[1]) and not same(alone[0], alone[4])
    assert all(map(same, worker.ask(*requests), alone))


@pytest.mark.parametrize(("reads", "other"), [("image", "text"), ("text", "image")])
def test_a_model_of_one_modality_ignores_the_other(
    copy_archive: Callable[..., Path], reads: str, other: str, archive: Path
) -> None:
    golden = json.loads((archive / "manifest.json").read_text())["golden"]
    folder = copy_archive(modalities=[reads], review_threshold=0.99)
    seal(folder, golden=[entry for entry in golden if entry[other] is None])
    worker = Worker(folder)
    values: dict[str, Any] = {"image": PICTURE, "text": TITLES[0]}
    alone, both, without, hostile = worker.ask(
        form(**{reads: values[reads]}),
        form(**values),
        form(**{other: values[other]}),
        form(**{reads: values[reads], other: b"\x89PNG" if other == "image" else b"\xc2\xad\x01"}),
    )
    assert alone.json["modalities"] == [reads]
    assert same(both, alone) and same(hostile, alone)
    assert (without.status, without.json["type"]) == (400, "missing_field")
    assert without.json["message"].startswith(reads)


def test_needs_review_below_the_threshold(copy_archive: Callable[..., Path]) -> None:
    answers = [
        Worker(copy_archive(review_threshold=threshold)).ask(form(text=TITLES[0]))[0].json for threshold in (0, 1)
    ]
    assert [answer["needs_review"] for answer in answers] == [False, True]


def test_many_products_run_in_bounded_batches(
    copy_archive: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(copy_archive(max_batch=4))
    sizes, engine = [], worker.handler.engine

    def counting(batch: Batch) -> NDArray[np.float32]:
        sizes.append(len(batch.image))
        return engine(batch)

    monkeypatch.setattr(worker.handler, "engine", OnlyLogits(counting))
    worker.ask(document({"instances": [{"text": TITLES[0]}] * 7}), form(text=TITLES[1]), form(text=TITLES[2]))
    assert sizes == [4, 4, 1]


def test_pictures_of_one_request_share_a_budget(copy_archive: Callable[..., Path]) -> None:
    worker = Worker(copy_archive(max_request_pixels=3 * 64 * 48))
    products = [{"image": b64(PICTURE)}] * 3 + [{"text": TITLES[0]}, {"image": b64(PICTURE)}]
    many, alone = worker.ask(document({"instances": products}), document({"image": b64(blank_png(200, 200))}))
    kinds = [prediction.get("type") for prediction in many.json["predictions"]]
    assert kinds == [None, None, None, None, "image_too_large"] and alone.status == 200


def test_a_picture_that_is_refused_takes_no_budget_from_its_neighbours(copy_archive: Callable[..., Path]) -> None:
    worker = Worker(copy_archive(max_request_pixels=3 * 64 * 48, max_image_pixels=9000))
    bomb, beyond, good = (b64(picture) for picture in (blank_png(200, 200), blank_png(90, 90), PICTURE))
    [many] = worker.ask(document({"instances": [{"image": image} for image in (bomb, good, beyond, good, good)]}))
    kinds = [prediction.get("type") for prediction in many.json["predictions"]]
    assert kinds == ["image_too_large", None, "image_too_large", None, None]


class Failing(OnlyLogits):
    """An engine that breaks on chosen products, recognised by their first pixel."""

    def __init__(self, engine: Callable[[Batch], NDArray[np.float32]], fail: Fail) -> None:
        super().__init__(engine)
        self._fail = fail

    def __call__(self, batch: Batch) -> NDArray[np.float32]:
        logits = super().__call__(batch)
        bad = batch.image[:, 0, 0, 0] == 0
        if bad.any() and (value := self._fail()) is not None:
            logits[bad, 1] = value
        return logits


@pytest.fixture
def broken(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Fail], Worker]]:
    def make(fail: Fail) -> Worker:
        monkeypatch.setattr(worker.handler, "engine", Failing(worker.handler.engine, fail))
        return worker

    yield make


def raising(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("fail", "outcome"),
    [
        (lambda: np.nan, (500, "model_output_invalid")),
        (lambda: np.inf, (500, "model_output_invalid")),
        (lambda: -np.inf, (500, "model_output_invalid")),
        (raising(RuntimeError("secret")), (500, "model_output_invalid")),
        (raising(MemoryError()), (507, "out_of_memory")),
        (raising(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")), (507, "out_of_memory")),
        (raising(type("OutOfMemoryError", (RuntimeError,), {})()), (507, "out_of_memory")),
        (raising(RuntimeError("Failed to allocate memory for requested buffer")), (507, "out_of_memory")),
    ],
)
def test_a_product_that_breaks_the_model_fails_alone(
    broken: Callable[[Fail], Worker],
    worker: Worker,
    fail: Fail,
    outcome: tuple[int, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = [form(image=PICTURE), form(text=TITLES[0]), form(image=turned(1), text=TITLES[1])]
    alone = [worker.ask(request)[0] for request in good]
    answers = broken(fail).ask(good[0], form(image=blank_png(40, 40)), *good[1:])
    assert (answers[1].status, answers[1].json["type"]) == outcome
    assert all(same(answer, other) for answer, other in zip([answers[0], *answers[2:]], alone, strict=True))
    assert "secret" not in caplog.text + answers[1].body


def test_a_worker_whose_engine_fails_exits(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def lost(batch: Batch) -> NDArray[np.float32]:
        raise RuntimeError("an illegal memory access was encountered")

    lost.name = "lost"  # type: ignore[attr-defined]
    monkeypatch.setattr(worker.handler, "engine", lost)
    with pytest.raises(SystemExit) as ended:
        worker.ask(form(image=PICTURE), form(text=TITLES[0]))
    assert ended.value.code == 1 and "the worker exits" in caplog.text


def test_a_worker_out_of_memory_continues(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(batch: Batch) -> NDArray[np.float32]:
        raise MemoryError

    monkeypatch.setattr(worker.handler, "engine", OnlyLogits(full))
    assert [answer.status for answer in worker.ask(form(image=PICTURE), form(text=TITLES[0]))] == [507, 507]


def test_an_internal_error_stays_with_its_product(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fit = worker.handler.preprocessor.fit

    def buggy(picture: Any) -> Any:
        if picture.size == (40, 40):
            raise KeyError("secret")
        return fit(picture)

    monkeypatch.setattr(worker.handler.preprocessor, "fit", buggy)
    bad, good = worker.ask(form(image=blank_png(40, 40)), form(image=PICTURE))
    assert (bad.status, bad.json["type"], good.status) == (500, "internal_error", 200)
    assert "KeyError at test_product_handler.py" in caplog.text and "secret" not in caplog.text + bad.body


def test_only_the_start_is_logged(archive: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    worker = Worker(archive, model_name="catalogue")
    ours = [record for record in caplog.records if record.name.startswith("handlers")]
    assert [record.getMessage() for record in ours] == ["catalogue 1.0 answers with onnx (no GPU)"]
    caplog.clear()
    canary = "canary[PID]77"
    worker.ask(
        form(text=canary, image=PICTURE),
        form(**{canary: "1"}),
        form(text=TITLES[0], top_k=canary),
        form(image=canary.encode()),
        document({"text": canary + "\ud800"}),
        document(canary.encode()),
        bare(canary.encode(), canary),
    )
    ours = [record for record in caplog.records if record.name.startswith("handlers")]
    assert not ours and "canary" not in caplog.text


def test_a_changed_file_is_refused_before_anything_is_loaded(copy_archive: Callable[..., Path]) -> None:
    folder = copy_archive()
    (folder / "tokenizer.json").write_bytes(b"{}")
    with pytest.raises(ArchiveError, match=r"tokenizer\.json is not the file"):
        Worker(folder)


def test_a_gpu_that_is_not_there_falls_back_and_says_so(archive: Path) -> None:
    worker = Worker(archive, gpu=99)
    [answer] = worker.ask(form(text=TITLES[0]))
    assert answer.json["model"]["backend"] == "onnx"
    assert answer.json["model"]["backend_reason"].startswith("GPU 99 was given; passed over cuda")


def test_golden_products_decide_between_the_engines(copy_archive: Callable[..., Path], graphs: Path) -> None:
    folder = copy_archive()
    golden = json.loads((folder / "manifest.json").read_text())["golden"]
    golden[1]["scores"] = golden[0]["scores"]
    seal(folder, golden=golden)
    with pytest.raises(EngineError, match="golden product 2: scores differ") as caught:
        Worker(folder)
    assert "onnx" in str(caught.value) and "torchscript" in str(caught.value)
