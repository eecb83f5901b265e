"""A switch to a version with other classes: said, refused, allowed."""

import re
from collections.abc import Mapping, Sequence

import pytest
from fake_torchserve import LABELS, FakeTorchServe, write_archive

from client.archives.model_store import ModelStore
from client.rollout.classes import class_changes
from client.rollout.rollout import RefusedError, Rollout

Labels = Mapping[str, Sequence[str]]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"kind": "ab"}, {"kind": "ba"}, []),
        ({"kind": "ab"}, {"kind": "bc"}, ["classes that come: c", "classes that go: a"]),
        ({"kind": "ab", "sex": "xy"}, {"kind": "ab", "sex": "xyz"}, ["classes of sex that come: z"]),
        ({"kind": "ab"}, {"kind": "ab", "sex": "xyz"}, ["the attribute sex comes (3 classes)"]),
        ({"kind": "ab", "sex": "xy"}, {"kind": "ab"}, ["the attribute sex goes"]),
        ({"kind": "ab", "sex": "xy"}, {"sex": "xy", "kind": "ab"}, ["label is sex now, it was kind"]),
        ({"kind": "ab"}, {"kind": "abcdefghijklmn"}, ["classes that come: c, d, e, f, g, h, i, j, k, l and 2 more"]),
    ],
)
def test_each_difference_is_a_sentence(old: Labels, new: Labels, said: list[str]) -> None:
    assert class_changes(old, new) == said


OTHERS = (*LABELS[:2], "Socks", "Ties")
SAID = ["classes that come: Socks, Ties", "classes that go: Bags"]


@pytest.fixture
def other_classes(store: ModelStore) -> None:
    """Version 2.0 has other classes."""
    write_archive(store.folder, "intermediate", "2.0", attributes={"label": OTHERS})


@pytest.mark.usefixtures("other_classes")
@pytest.mark.parametrize("act", ["switch", "plan"])
def test_other_classes_are_said_and_refused(
    rollout: Rollout, serving: FakeTorchServe, said: list[str], act: str
) -> None:
    with pytest.raises(RefusedError, match=re.escape("; ".join(SAID)) + ".*--allow-classes"):
        getattr(rollout, act)("intermediate", "2.0")
    assert said[-2:] == SAID
    assert not serving.calls("POST") and serving.defaults == {"intermediate": "1.0"}


def test_other_classes_can_be_allowed_and_a_rollback_needs_no_permission(
    rollout: Rollout, serving: FakeTorchServe, store: ModelStore, said: list[str]
) -> None:
    write_archive(store.folder, "intermediate", "2.0", attributes={"label": (*LABELS, "Ties")})
    rollout.plan("intermediate", "2.0", allow_classes=True)
    rollout.switch("intermediate", "2.0", allow_classes=True)
    assert said.count("classes that come: Ties") == 2 and serving.defaults == {"intermediate": "2.0"}
    said.clear()
    assert rollout.rollback("intermediate") == "1.0"
    assert "classes that go: Ties" in said and serving.defaults == {"intermediate": "1.0"}


def test_a_version_whose_archive_is_gone_is_not_compared(
    rollout: Rollout, serving: FakeTorchServe, store: ModelStore, said: list[str]
) -> None:
    for name in ("intermediate.mar", "intermediate-1.0.mar"):
        (store.folder / name).unlink()
    rollout.switch("intermediate", "2.0")
    assert any(line.startswith("classes: not compared, ") and "intermediate 1.0" in line for line in said)
    assert serving.defaults == {"intermediate": "2.0"}
