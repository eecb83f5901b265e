"""A switch of the version: the order of its steps, and that whatever fails leaves the old version the default."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_torchserve import FakeTorchServe, FakeVersion, damage, write_archive

from client.api.errors import ClientError
from client.api.inference import Product
from client.api.management import Management
from client.archives.model_store import ModelStore, identify_archive
from client.rollout import queues
from client.rollout.queues import DrainError
from client.rollout.rollout import RefusedError, Rollout
from client.rollout.sample import Sample
from client.server.logs import MODEL_LOG
from training.system.storage import LockedError


def steps(server: FakeTorchServe) -> list[str]:
    """Everything but the questions that change nothing, in order, repeats left out."""
    calls = [f"{request.method} {request.url.path}" for request in server.requests if request.method != "GET"]
    return [call for call, _ in itertools.groupby(calls)]


def test_a_switch_goes_its_steps_in_order(
    rollout: Rollout, serving: FakeTorchServe, store: ModelStore, said: list[str]
) -> None:
    rollout.switch("intermediate", "2.0")
    assert steps(serving) == [
        "POST /models",
        "POST /predictions/intermediate/2.0",
        "PUT /models/intermediate/2.0/set-default",
        "POST /predictions/intermediate",
        "DELETE /models/intermediate/1.0",
    ]
    assert serving.defaults == {"intermediate": "2.0"} and list(serving.models["intermediate"]) == ["2.0"]
    assert identify_archive(store.folder / "intermediate.mar").version == "2.0"
    assert [line.split(":")[0] for line in said] == [
        "archive",
        "register",
        "golden products",
        "set-default",
        "golden products",
        "retire",
    ]


def test_the_new_version_gets_as_many_workers(
    rollout: Rollout, serving: FakeTorchServe, management: Management
) -> None:
    management.scale("intermediate", "1.0", workers=3)
    rollout.switch("intermediate", "2.0")
    assert len(serving.models["intermediate"]["2.0"].workers) == 3
    asked = [request.url.params for request in serving.requests if request.url.path == "/models/intermediate/2.0"]
    assert [params["min_worker"] for params in asked if "min_worker" in params] == ["2", "3"], "one after the other"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("workers", "Failed to start workers"),
        ("labels", r"golden product 1 of intermediate-2\.0\.mar: answered '\w+', expected 'Shirts' \(and 2 more\)"),
        ("scores", r"golden product 1 of intermediate-2\.0\.mar: scores differ by 0\.08"),
        ("default", r"the default is 1\.0 after set-default"),
    ],
)
def test_a_broken_version_is_refused(
    rollout: Rollout, serving: FakeTorchServe, store: ModelStore, broken: str, reason: str
) -> None:
    serving.broken["2.0"] = broken
    with pytest.raises(RefusedError, match=reason) as caught:
        rollout.switch("intermediate", "2.0")
    assert "intermediate 1.0 is still the default version" in str(caught.value)
    assert serving.defaults == {"intermediate": "1.0"} and list(serving.models["intermediate"]) == ["1.0"]
    assert identify_archive(store.folder / "intermediate.mar").version == "1.0"
    assert store.switches.version_before("intermediate", "2.0") is None


def test_the_reason_comes_from_the_workers_log(rollout: Rollout, serving: FakeTorchServe, tmp_path: Path) -> None:
    serving.broken["2.0"] = "workers"
    log = tmp_path / MODEL_LOG
    log.parent.mkdir()
    line = "2026 [INFO ] W-9001-intermediate_{}-stdout MODEL_LOG - Failed to load model intermediate, exception {}\n"
    log.write_text(line.format("1.0", "of another version") + line.format("2.0", "model.onnx is not the file"))
    with pytest.raises(RefusedError, match=r"intermediate 2\.0 is refused: model\.onnx is not the file\. interm"):
        rollout.switch("intermediate", "2.0")


def test_an_interrupted_switch_is_undone(
    rollout: Rollout, serving: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Rollout, "_check", interrupt)
    with pytest.raises(KeyboardInterrupt):
        rollout.switch("intermediate", "2.0")
    assert serving.defaults == {"intermediate": "1.0"} and list(serving.models["intermediate"]) == ["1.0"]


def test_what_a_refused_version_had_taken_on_is_answered_first(
    rollout: Rollout, serving: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between set-default and a failed check, requests go to the new version."""
    pending = [3, 3, 0]

    def refuse(*_: object) -> None:
        serving.models["intermediate"]["2.0"].pending = pending
        raise ClientError("no")

    monkeypatch.setattr(queues, "_POLL", 0)
    monkeypatch.setattr(Rollout, "_check", refuse)
    with pytest.raises(RefusedError, match=r"intermediate 1\.0 is still the default version"):
        rollout.switch("intermediate", "2.0")
    assert not pending and serving.defaults == {"intermediate": "1.0"}


def test_a_damaged_archive_never_reaches_the_server(
    rollout: Rollout, serving: FakeTorchServe, store: ModelStore
) -> None:
    damage(store.folder / "intermediate-2.0.mar")
    with pytest.raises(
        RefusedError,
        match=r"refused: intermediate-2\.0\.mar: model\.onnx is not the file .* still the default version",
    ):
        rollout.switch("intermediate", "2.0")
    with pytest.raises(RefusedError, match=r"model\.onnx is not the file"):
        rollout.plan("intermediate", "2.0")
    with pytest.raises(RefusedError, match=r"model\.onnx is not the file"):
        rollout.register("intermediate-2.0.mar")
    assert steps(serving) == []


def test_a_plan_says_the_steps_and_changes_nothing(
    rollout: Rollout, serving: FakeTorchServe, store: ModelStore, said: list[str]
) -> None:
    rollout.plan("intermediate", "2.0", sample=Sample([Product(text="Blue Shoes")]))
    assert [line.split()[:2] for line in said] == [
        ["archive:", "9"],
        ["would", "register"],
        ["would", "ask"],
        ["would", "compare"],
        ["would", "make"],
        ["would", "wait"],
    ]
    assert steps(serving) == [] and store.default_version("intermediate") == "1.0"


def test_a_version_that_answers_the_sample_otherwise_is_refused(
    rollout: Rollout, serving: FakeTorchServe, said: list[str]
) -> None:
    """It answers its golden products, and half of the real ones as a bag."""
    serving.broken["2.0"] = "bags"
    products = [Product(text=title) for title in ("Blue Shoes", "Blue Shoes 10", "Red Shirts", "Red Shirts 10")]
    with pytest.raises(
        RefusedError, match=r'50\.0% .* agree with 1\.0, at least 95\.0% is required: "Blue Shoes 10": '
    ):
        rollout.switch("intermediate", "2.0", sample=Sample(products))
    assert serving.defaults == {"intermediate": "1.0"} and list(serving.models["intermediate"]) == ["1.0"]
    rollout.switch("intermediate", "2.0", sample=Sample(products, min_agreement=0.5))
    assert serving.defaults == {"intermediate": "2.0"}
    assert any(line.startswith("sample: 4 products, 50.0% of the answers agree; p50/p95 1.0: ") for line in said)


def test_two_switches_do_not_meet(rollout: Rollout, serving: FakeTorchServe, store: ModelStore) -> None:
    with store.lock(), pytest.raises(LockedError, match="another switch is running"):
        rollout.switch("intermediate", "2.0")
    assert steps(serving) == []


@pytest.mark.parametrize(
    "action",
    [
        lambda rollout: rollout.switch("intermediate", "1.0"),
        lambda rollout: rollout.plan("intermediate", "1.0"),
        lambda rollout: rollout.register("intermediate.mar"),
    ],
)
def test_what_is_so_already_is_only_checked(
    rollout: Rollout, serving: FakeTorchServe, said: list[str], action: Callable[[Rollout], None]
) -> None:
    """The same command twice does no harm, also if the first one was cut short at its very end."""
    action(rollout)
    assert not [step for step in steps(serving) if "/predictions/" not in step]
    assert any("already" in line for line in said)
    serving.broken["1.0"] = "labels"
    if steps(serving):
        with pytest.raises(ClientError, match="golden product 1"):
            action(rollout)
    assert serving.defaults == {"intermediate": "1.0"}


def test_a_version_left_over_is_loaded_afresh(rollout: Rollout, serving: FakeTorchServe) -> None:
    serving.models["intermediate"]["2.0"] = FakeVersion("intermediate-2.0.mar", [])
    rollout.switch("intermediate", "2.0")
    assert serving.defaults == {"intermediate": "2.0"}


def test_a_version_is_loaded_once_the_default_has_caught_up(
    rollout: Rollout, serving: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What loads takes a core from those who answer, and a full queue turns requests away."""
    waiting: list[int] = []
    register = Management.register

    def registered(*arguments: Any, **options: Any) -> None:
        waiting.extend(serving.models["intermediate"]["1.0"].pending)
        register(*arguments, **options)

    monkeypatch.setattr(queues, "_POLL", 0)
    monkeypatch.setattr(Management, "register", registered)
    serving.models["intermediate"]["1.0"].pending = [70] * 10 + [0] * 10
    rollout.switch("intermediate", "2.0")
    assert waiting and not any(waiting)


def test_a_server_that_never_catches_up_gets_its_new_version_nevertheless(
    rollout: Rollout, serving: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "CATCH_UP_TIMEOUT", 0)
    serving.models["intermediate"]["1.0"].pending = [90] * 2
    rollout.switch("intermediate", "2.0")
    assert serving.defaults == {"intermediate": "2.0"}


def test_the_old_version_is_drained_first(
    rollout: Rollout, serving: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "_POLL", 0)
    pending = [9, 9, 5, 1, 0]
    rollout.management.register("intermediate-2.0.mar")
    rollout.management.set_default("intermediate", "2.0")
    serving.models["intermediate"]["1.0"].pending = pending
    rollout.retire("intermediate", "1.0")
    assert "1.0" not in serving.models["intermediate"] and not pending


def test_a_version_that_never_gets_idle_stays(
    rollout: Rollout, serving: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "DRAIN_TIMEOUT", 0)
    rollout.management.register("intermediate-2.0.mar")
    serving.models["intermediate"]["2.0"].pending = [1] * 1000
    with pytest.raises(DrainError, match=r"python -m client retire intermediate 2\.0"):
        rollout.retire("intermediate", "2.0")
    assert "2.0" in serving.models["intermediate"]


def test_the_way_back_and_forth(rollout: Rollout, serving: FakeTorchServe, store: ModelStore) -> None:
    rollout.switch("intermediate", "2.0")
    assert rollout.rollback("intermediate") == "1.0"
    assert serving.defaults == {"intermediate": "1.0"}
    assert identify_archive(store.folder / "intermediate.mar").version == "1.0"
    assert rollout.rollback("intermediate") == "2.0"
    assert rollout.rollback("intermediate", "1.0") == "1.0"


def test_a_model_is_registered_beside_the_others(rollout: Rollout, serving: FakeTorchServe, store: ModelStore) -> None:
    write_archive(store.folder, "late", "1.0", default=True)
    rollout.register("late.mar")
    assert serving.defaults == {"intermediate": "1.0", "late": "1.0"}
    assert len(serving.models["late"]["1.0"].workers) == 1  # it does not say how many


@pytest.mark.parametrize(("asked", "started"), [(None, 3), (2, 2)])
def test_a_model_gets_the_workers_it_was_made_for_unless_told_otherwise(
    rollout: Rollout, serving: FakeTorchServe, store: ModelStore, asked: int | None, started: int
) -> None:
    write_archive(store.folder, "late", "1.0", workers=3)
    rollout.register("late-1.0.mar", workers=asked)
    assert len(serving.models["late"]["1.0"].workers) == started


@pytest.mark.parametrize("broken", ["workers", "labels"])
def test_a_model_that_does_not_answer_is_not_registered(
    rollout: Rollout, serving: FakeTorchServe, store: ModelStore, broken: str
) -> None:
    write_archive(store.folder, "late", "7.0")
    serving.broken["7.0"] = broken
    with pytest.raises(RefusedError, match="It is not registered"):
        rollout.register("late-7.0.mar")
    assert list(serving.models) == ["intermediate"]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda rollout: rollout.switch("intermediate", "9"), "no archive of intermediate 9"),
        (lambda rollout: rollout.rollback("intermediate"), r"no switch to intermediate 1\.0 is on record"),
        (lambda rollout: rollout.rollback("late"), "registered models: intermediate"),
        (lambda rollout: rollout.retire("intermediate", "1.0"), "is the default version"),
        (lambda rollout: rollout.retire("intermediate", "2.0"), "is not registered"),
    ],
)
def test_what_makes_no_sense_changes_nothing(
    rollout: Rollout, serving: FakeTorchServe, action: object, message: str
) -> None:
    assert callable(action)
    with pytest.raises(ClientError, match=message):
        action(rollout)
    assert steps(serving) == []
