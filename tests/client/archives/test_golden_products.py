"""Golden products and readiness, as a client checks them."""

import contextlib
import dataclasses
import json
from pathlib import Path

import pytest
from fake_torchserve import Answer, FakeTorchServe, write_archive

from client.api.errors import ClientError
from client.api.inference import ProductClient
from client.api.management import Management
from client.archives.golden_products import check_golden_answers, read_golden
from client.archives.model_store import ModelStore
from client.server.readiness import check_ready


def test_a_server_that_answers_as_verified_agrees(
    client: ProductClient, serving: FakeTorchServe, store: ModelStore
) -> None:
    golden = read_golden(store.version("intermediate", "1.0").path)
    assert len(golden.products) == 3 and golden.labels == ("Shirts", "Shoes", "Bags")
    assert check_golden_answers(client, golden, model="intermediate") == []


@pytest.mark.parametrize("cascade", [False, True])
def test_full_answers_are_asked_of_an_archive_with_a_cascade(
    client: ProductClient, serving: FakeTorchServe, store: ModelStore, cascade: bool
) -> None:
    """Early answers have other scores than the golden ones; an archive without a cascade may not know the field."""
    golden = dataclasses.replace(read_golden(store.version("intermediate", "1.0").path), cascade=cascade)
    assert check_golden_answers(client, golden, model="intermediate") == []
    asked = json.loads(serving.requests[-1].content)["instances"]
    assert [product.get("effort") for product in asked] == [["full"], [None]][not cascade] * 3


@pytest.mark.parametrize(("broken", "fault"), [("labels", "answered"), ("scores", "scores differ by 0.08")])
def test_each_disagreement_is_named(
    client: ProductClient, serving: FakeTorchServe, store: ModelStore, broken: str, fault: str
) -> None:
    serving.broken["1.0"] = broken
    faults = check_golden_answers(client, read_golden(store.version("intermediate", "1.0").path), model="intermediate")
    assert len(faults) == 3 and all(fault in said for said in faults)


def test_a_refused_product_is_a_disagreement(
    client: ProductClient, serving: FakeTorchServe, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        FakeTorchServe, "_answer", lambda *_: {"code": 500, "type": "model_output_invalid", "message": "NaN"}
    )
    faults = check_golden_answers(client, read_golden(store.version("intermediate", "1.0").path), model="intermediate")
    assert "model_output_invalid" in faults[0]


def test_an_archive_without_golden_products_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_archive(tmp_path, "late", "1.0")
    members = {"settings.json": {"attributes": [{"name": "label", "labels": ["a"]}]}, "manifest.json": {"golden": []}}
    monkeypatch.setattr("client.archives.golden_products.read_member", lambda path, name: members[name])
    with pytest.raises(ClientError, match=r"late-1\.0\.mar: manifest\.json holds no golden products"):
        read_golden(path)


def test_an_archive_of_an_earlier_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_archive(tmp_path, "late", "1.0")
    monkeypatch.setattr(
        "client.archives.golden_products.read_member", lambda path, name: {"target": "label", "labels": ["a"]}
    )
    with pytest.raises(ClientError, match=r"late-1\.0\.mar is of an earlier version: build it again"):
        read_golden(path)


def test_a_model_that_is_served_is_ready(
    client: ProductClient, management: Management, serving: FakeTorchServe, store: ModelStore
) -> None:
    said = check_ready(client, management, store, model="intermediate")
    assert said == "intermediate 1.0: 1 READY, 3 golden products as expected"


@pytest.mark.parametrize(
    ("workers", "message"),
    [([], r"0 of 0 workers are READY \(no worker\)"), (["UNLOADING"], r"0 of 1 workers are READY \(UNLOADING\)")],
)
def test_a_model_without_workers_is_not_ready(
    client: ProductClient, management: Management, serving: FakeTorchServe, workers: list[str], message: str
) -> None:
    serving.models["intermediate"]["1.0"].workers = workers
    with pytest.raises(ClientError, match=message):
        check_ready(client, management, ModelStore(serving.store), model="intermediate")


def test_a_model_that_answers_otherwise_is_not_ready(
    client: ProductClient, management: Management, serving: FakeTorchServe, store: ModelStore
) -> None:
    serving.broken["1.0"] = "labels"
    with pytest.raises(ClientError, match="gives other answers than when it was verified"):
        check_ready(client, management, store, model="intermediate")


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (507, "OutOfDirectMemoryError", r"answers small requests, but none of 6,000,000 bytes .* restart the server"),
        (500, "InternalServerException", "the front end is out of memory"),
        (503, "ServiceUnavailableException", "all workers are busy"),
        (413, "RequestEntityTooLarge", None),
        (415, "unsupported_image", None),
    ],
)
def test_a_front_end_without_memory_is_not_ready(
    *,
    client: ProductClient,
    management: Management,
    serving: FakeTorchServe,
    store: ModelStore,
    code: int,
    kind: str,
    message: str | None,
) -> None:
    version, known = serving.models["intermediate"]["1.0"], FakeTorchServe._answer

    def answer(product: Answer) -> Answer:
        if len(product.get("image") or "") > 1_000_000:
            return {"code": code, "type": kind, "message": "no"}
        version.answer = None
        try:
            return known(serving, product, "intermediate", "1.0")
        finally:
            version.answer = answer

    version.answer = answer
    with contextlib.nullcontext() if message is None else pytest.raises(ClientError, match=message):
        check_ready(client, management, store, model="intermediate")


def test_a_model_that_is_not_registered_is_not_ready(
    client: ProductClient, management: Management, serving: FakeTorchServe, store: ModelStore
) -> None:
    with pytest.raises(ClientError, match="late is not registered; registered models: intermediate"):
        check_ready(client, management, store, model="late")
