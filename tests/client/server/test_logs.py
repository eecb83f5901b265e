"""Reasons for failed loads, from the server's log."""

from pathlib import Path

from client.server.logs import MODEL_LOG, SERVER_LOG, FollowedLogs, LoadFailures, last_lines

LINE = "2026-11-23T06:17:07,416 [INFO ] W-9000-late_1.0-stdout MODEL_LOG - "


def test_only_what_was_written_since_counts(tmp_path: Path) -> None:
    log = tmp_path / MODEL_LOG
    log.parent.mkdir()
    log.write_text(f"{LINE}Failed to load model late, exception old\n")
    failures = LoadFailures.from_now_on(tmp_path)
    assert failures.reasons("late", "1.0") == []
    with log.open("a") as file:
        file.write(f"{LINE}Torch worker started.\n{LINE}Failed to load model late, exception new one\n" * 2)
    assert failures.reasons("late", "1.0") == ["new one"] == [failures.wait_for_reason("late", "1.0")]
    assert failures.reasons("late", "2.0") == []


def test_a_log_that_was_rolled_over_is_read_from_its_start(tmp_path: Path) -> None:
    log = tmp_path / MODEL_LOG
    log.parent.mkdir()
    log.write_text("x" * 1000)
    failures = LoadFailures.from_now_on(tmp_path)
    log.write_text(f"{LINE}Failed to load model late, exception after\n")
    assert failures.reasons("late", "1.0") == ["after"]


def test_a_server_elsewhere_has_no_log_here(tmp_path: Path) -> None:
    assert LoadFailures.from_now_on(tmp_path).wait_for_reason("late", "1.0") is None


def test_the_last_lines_are_shown(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    assert last_lines(log, 2) == ""
    log.write_bytes(b"one\ntwo\nthr\xffee\n")
    assert last_lines(log, 2) == "two\nthr\N{REPLACEMENT CHARACTER}ee"


def test_new_lines_are_followed(tmp_path: Path) -> None:
    worker, server = tmp_path / MODEL_LOG, tmp_path / SERVER_LOG
    worker.parent.mkdir()
    worker.write_text("before\n")
    logs = FollowedLogs(tmp_path)
    assert logs.lines() == []
    server.write_text("server\n")  # it comes later
    with worker.open("a") as file:
        file.write("whole\nhal")
    assert logs.lines() == ["server", "whole"]
    with worker.open("a") as file:
        file.write("f\n")
    assert logs.lines() == ["half"]
    worker.write_text("new\n")  # rolled over
    assert logs.lines() == ["new"]
