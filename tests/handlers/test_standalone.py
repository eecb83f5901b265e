"""The predictor answers without TorchServe as a worker of TorchServe does."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hostile import ACCEPTED, HOSTILE
from pictures import draw, encode
from serving import TITLES, Worker, b64, bare, document, explained, seal

from handlers.product_serving.archive import ArchiveError
from handlers.product_serving.engines.engine import EngineError
from handlers.product_serving.errors import ProductError
from handlers.product_serving.standalone.predictor import AT_ONCE, Predictor, Request

PICTURE = encode(draw())


def identified(folder: Path) -> Path:
    """An unpacked archive as TorchServe's archiver makes it: with the name and version of the model."""
    (folder / "MAR-INF").mkdir()
    entry = {"model": {"modelName": "tiny", "modelVersion": "1.0"}}
    (folder / "MAR-INF" / "MANIFEST.json").write_text(json.dumps(entry), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def predictor(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("standalone") / "content"
    shutil.copytree(archive, folder)
    return Predictor(identified(folder))


def close(one: Any, other: Any) -> bool:
    """Equal but for the rounding of a batch of another size."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    return bool(one == pytest.approx(other, abs=1e-6) if isinstance(one, float) else one == other)


@pytest.mark.parametrize(
    "name",
    (*HOSTILE, *ACCEPTED),
)
def test_requests_are_answered_as_in_torchserve(predictor: Predictor, worker: Worker, name: str) -> None:
    """Every hostile or unusual request: the same status, the same JSON. The fields of a form are those of a product."""
    headers, parameters = (HOSTILE[name][0] if name in HOSTILE else ACCEPTED[name])()
    [expected] = worker.ask((headers, parameters))
    kind = headers.get("Content-Type")
    if [field for field, _, _ in parameters] == ["body"] and "form" not in (kind or ""):
        [reply] = predictor.respond([Request(parameters[0][1], kind)])
        status, answer = reply.status, json.loads(reply.body)
    else:
        [found] = predictor.predict([{field: value for field, value, _ in parameters}])
        status, answer = (found.code, found.as_dict()) if isinstance(found, ProductError) else (200, found)
    assert status == expected.status
    assert close(answer, expected.json)


def test_a_batch_keeps_its_order_and_its_errors(predictor: Predictor, worker: Worker) -> None:
    bodies = [
        document({"text": TITLES[0]}),
        document({"image": b64(PICTURE[:50])}),
        bare(PICTURE, "image/png"),
        document({"instances": [{"text": TITLES[1]}, {"text": ""}]}),
    ]
    requests = [Request(parts[0][1], headers.get("Content-Type")) for headers, parts in bodies]
    replies = predictor.respond(requests)
    expected = worker.ask(*bodies)
    assert [reply.status for reply in replies] == [200, 422, 200, 200] == [answer.status for answer in expected]
    assert all(close(json.loads(reply.body), answer.json) for reply, answer in zip(replies, expected, strict=True))


def test_json_that_a_framework_has_parsed(predictor: Predictor) -> None:
    raw, parsed = predictor.respond([Request(b'{"text": "Red Cotton Shirt"}'), Request({"text": "Red Cotton Shirt"})])
    assert raw == parsed


def test_explanations(predictor: Predictor, worker: Worker) -> None:
    [expected] = worker.ask(explained(document({"text": TITLES[0]})))
    [reply] = predictor.respond([Request({"text": TITLES[0]}, explain=True)])
    [answer] = predictor.predict([{"text": TITLES[0]}], explain=True)
    assert "modality" in expected.json
    assert close(json.loads(reply.body), expected.json) and close(answer, expected.json)


def test_products_and_errors_stay_in_their_places(predictor: Predictor) -> None:
    """More products than are computed at once, one of them broken, one no product at all."""
    products: list[Any] = [{"text": TITLES[number % len(TITLES)]} for number in range(AT_ONCE + 3)]
    products[1], products[AT_ONCE] = {"image": b"GIF89a"}, "no product"
    answers = predictor.predict(products)
    errors = {number: answer.type for number, answer in enumerate(answers) if isinstance(answer, ProductError)}
    assert errors == {1: "unsupported_image", AT_ONCE: "invalid_json"}
    [alone] = predictor.predict([products[AT_ONCE + 2]])
    assert close(answers[AT_ONCE + 2], alone)


def test_threads_may_share_it(predictor: Predictor) -> None:
    products = [{"text": title, "image": PICTURE} for title in TITLES]
    alone = [predictor.predict([product])[0] for product in products]
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda product: predictor.predict([product])[0], products * 3))
    assert all(map(close, answers, alone * 3))


def test_other_answers_are_refused(copy_archive: Callable[..., Path]) -> None:
    folder = identified(copy_archive())
    golden = json.loads((folder / "manifest.json").read_text())["golden"]
    golden[0]["scores"] = golden[0]["scores"][::-1]
    seal(folder, golden=golden)
    with pytest.raises((ArchiveError, EngineError), match="golden product 1"):
        Predictor(folder)


def test_a_folder_without_a_name_is_refused(copy_archive: Callable[..., Path]) -> None:
    folder = copy_archive()
    with pytest.raises(ArchiveError, match=r"MANIFEST\.json"):
        Predictor(folder)
