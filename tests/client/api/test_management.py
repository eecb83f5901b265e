"""The client of the management API, against the traps of TorchServe's own."""

import httpx
import pytest
from fake_torchserve import FakeTorchServe, FakeVersion

from client.api.errors import ClientError, ServerError
from client.api.management import Management
from client.api.tokens import Tokens


def test_a_registration_asks_for_workers(management: Management, server: FakeTorchServe) -> None:
    management.register("intermediate.mar", workers=2)
    assert server.requests[-1].url.params["initial_workers"] == "2"
    version = management.wait_ready("intermediate")
    assert (version.version, version.workers, version.default, version.ready) == ("1.0", ("READY",) * 2, True, True)


def test_versions_come_with_the_default_first(management: Management, serving: FakeTorchServe) -> None:
    management.register("intermediate-2.0.mar")
    assert [(entry.version, entry.default) for entry in management.versions("intermediate")] == [
        ("1.0", True),
        ("2.0", False),
    ]
    management.set_default("intermediate", "2.0")
    assert [entry.version for entry in management.versions("intermediate")] == ["2.0", "1.0"]


def test_what_is_not_registered_is_not_found(management: Management, serving: FakeTorchServe) -> None:
    assert management.find("late") is None
    assert management.find("intermediate", "1") is None
    assert management.find("intermediate", "1.0") == management.find("intermediate")


def test_a_version_without_workers_is_not_ready(management: Management, serving: FakeTorchServe) -> None:
    serving.models["intermediate"]["2.0"] = FakeVersion("intermediate-2.0.mar", [])
    with pytest.raises(ClientError, match=r"intermediate 2\.0 is not READY after 0 s \(workers: none\)"):
        management.wait_ready("intermediate", "2.0", timeout=0)
    with pytest.raises(ClientError, match="not registered"):
        management.wait_ready("late", timeout=0)


@pytest.mark.parametrize("workers", [["UNLOADING"], ["READY", "UNLOADING"]])
def test_all_workers_have_to_be_ready(management: Management, serving: FakeTorchServe, workers: list[str]) -> None:
    serving.models["intermediate"]["1.0"].workers = workers
    found = management.find("intermediate")
    assert found is not None and not found.ready


def test_a_worker_that_has_ended_is_an_error_at_once(management: Management, serving: FakeTorchServe) -> None:
    """TorchServe starts it again and again, and says nothing; its log has the reason."""
    serving.broken["2.0"] = "workers"
    management.register("intermediate-2.0.mar", workers=2)
    with pytest.raises(ServerError, match=r"Failed to start workers for model intermediate version: 2\.0"):
        management.wait_ready("intermediate", "2.0", at_first=True)
    with pytest.raises(ClientError, match="UNLOADING, UNLOADING"):
        management.wait_ready("intermediate", "2.0", timeout=0.3)


def test_scaling_sets_both_bounds(management: Management, serving: FakeTorchServe) -> None:
    management.scale("intermediate", "1.0", workers=3)
    assert serving.requests[-1].url.params["max_worker"] == "3"
    assert len(management.wait_ready("intermediate").workers) == 3


def test_the_default_is_not_unregistered_beside_another(management: Management, serving: FakeTorchServe) -> None:
    management.register("intermediate-2.0.mar")
    with pytest.raises(ServerError, match="Cannot remove default") as caught:
        management.unregister("intermediate", "1.0")
    assert caught.value.code == 403


def test_models_on_several_pages_are_all_listed(tokens: Tokens) -> None:
    pages = {None: {"models": [{"modelName": "text"}], "nextPageToken": "1"}, "1": {"models": [{"modelName": "early"}]}}
    transport = httpx.MockTransport(
        lambda request: httpx.Response(200, json=pages[request.url.params.get("next_page_token")])
    )
    assert Management(tokens=tokens, transport=transport).models() == ["early", "text"]
