"""The record of switches: the way back, what was cut short, and lines that are none."""

import json
from pathlib import Path

import pytest

from client.archives.switches import SWITCHES, Switch, SwitchRecord
from training.system.storage import StorageError


@pytest.fixture
def record(tmp_path: Path) -> SwitchRecord:
    return SwitchRecord(tmp_path)


def test_the_last_switch_tells_the_way_back(record: SwitchRecord) -> None:
    assert record.version_before("intermediate", "2.0") is None
    for model, old in [("intermediate", "1.0"), ("late", "7.0"), ("intermediate", "1.5")]:
        record.add(Switch(model, old, "2.0"))
    assert record.version_before("intermediate", "2.0") == "1.5"
    assert record.version_before("intermediate", "1.5") is None


def test_a_switch_is_unfinished_until_its_end(record: SwitchRecord) -> None:
    begun = Switch("late", "1.0", "2.0", begun="rollback")
    record.add(begun)
    assert record.unfinished("late", "2.0") == begun and record.version_before("late", "2.0") == "1.0"
    assert record.unfinished("late", "1.0") is None, "it was cut short before set-default"
    record.add(Switch("early", "1.0", "2.0"))
    record.end("late", old="1.0")
    record.end("late", old="1.0")
    assert record.unfinished("late", "2.0") is None and record.version_before("late", "2.0") == "1.0"
    assert len((record.folder / SWITCHES).read_text().splitlines()) == 3


def test_a_refused_switch_is_no_way_back(record: SwitchRecord) -> None:
    record.add(Switch("late", "1.0", "2.0", begun="switch"))
    record.end("late", old="1.0", undone=True)
    assert record.version_before("late", "2.0") is None and record.unfinished("late", "2.0") is None


@pytest.mark.parametrize("broken", ['{"model": "la', "[]", "null", "{}", "\udcff", "7", ""])
def test_half_a_line_does_not_spoil_the_others(record: SwitchRecord, broken: str) -> None:
    record.add(Switch("late", "1.0", "2.0"))
    with (record.folder / SWITCHES).open("ab") as file:
        file.write(broken.encode(errors="surrogateescape"))
    record.add(Switch("late", "2.0", "3.0"))
    assert [record.version_before("late", version) for version in ("2.0", "3.0")] == ["1.0", "2.0"]


def test_lines_of_earlier_clients_are_read(record: SwitchRecord) -> None:
    entry = {"time": "2026-11-28T10:00:00+00:00", "model": "late", "from": "1.0", "to": "2.0"}
    (record.folder / SWITCHES).write_text(json.dumps(entry) + "\n")
    assert record.version_before("late", "2.0") == "1.0"


def test_a_record_that_cannot_be_read_or_written_is_named(record: SwitchRecord) -> None:
    (record.folder / SWITCHES).mkdir()
    with pytest.raises(StorageError, match=SWITCHES):
        record.version_before("late", "2.0")
    with pytest.raises(StorageError, match=SWITCHES):
        record.add(Switch("late", "1.0", "2.0"))
