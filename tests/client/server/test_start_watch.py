"""Why a start will not succeed is known from what workers and TorchServe say, long before the time is over."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client.archives.model_store import Archive
from client.server import start_watch
from client.server.logs import MODEL_LOG, LoadFailures
from client.server.start_watch import StartWatch

VERSIONS = [Archive(Path("late.mar"), "late", "1.0")]
Alive = Callable[[set[int]], None]


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> Iterator[Alive]:
    """Says which workers there are, and how many processes the kernel has killed."""
    now: set[int] = set()
    monkeypatch.setattr(start_watch, "workers", lambda temporary: set(now))
    monkeypatch.setattr(start_watch, "_FLUSH_SECONDS", -1.0)
    yield lambda found: (now.clear(), now.update(found))[0]


@pytest.fixture
def watch(tmp_path: Path) -> StartWatch:
    (tmp_path / MODEL_LOG).parent.mkdir()
    return StartWatch(LoadFailures.from_now_on(tmp_path), tmp_path / "console.log", tmp_path)


def said(folder: Path, *lines: str, stream: str = "stdout", worker: str = "late_1.0") -> None:
    with (folder / MODEL_LOG).open("a", encoding="utf-8") as file:
        file.writelines(f"2026-11-23T06:17:07 [INFO ] W-9000-{worker}-{stream} MODEL_LOG - {line}\n" for line in lines)


def fault_after_two_deaths(watch: StartWatch, alive: Alive) -> str | None:
    for found in ({1, 2}, {2, 3}):
        alive(found)
        assert watch.fault(VERSIONS) is None, "one death may be an accident"
    alive(set())
    return watch.fault(VERSIONS)


@pytest.mark.parametrize(
    ("stream", "lines", "words"),
    [
        (
            "stderr",
            ["Fatal Python error: Segmentation fault", "", "Current thread 0x1:", "  File x"],
            "Segmentation fault",
        ),
        ("stderr", ["Fatal Python error: Illegal instruction", "  File x"], "Illegal instruction"),
        ("stderr", ["Fatal Python error: Bus error"], "Bus error"),
        ("stderr", ["terminate called after throwing", "  what():  std::bad_alloc"], "what():  std::bad_alloc"),
        ("stdout", ["Traceback (most recent call last):", "ImportError: libgomp.so.1: cannot open"], "libgomp.so.1"),
        ("stdout", ["onnxruntime.capi.NoSuchFile: x", "ModuleNotFoundError: No module named 'onnx'"], "named 'onnx'"),
        (
            "stdout",
            ["ModuleNotFoundError: No module named 'onnx'", "No module named 'ts.torch_handler.product_handler'"],
            "named 'onnx'",
        ),
        ("stdout", ["MemoryError: ", "RuntimeError: 507 - System out of memory"], "MemoryError"),
        ("stderr", ["python: error while loading shared libraries: libz.so.1"], "libz.so.1"),
        ("stderr", ["I do not like it here"], "I do not like it here"),
    ],
)
def test_a_worker_that_dies_again_and_again_is_told_with_its_last_words(
    watch: StartWatch, alive: Alive, stream: str, lines: list[str], words: str
) -> None:
    folder = watch._failures.path.parents[1]
    said(folder, "ValueError: of another model", worker="image_1.0")
    said(folder, *lines, stream=stream)
    fault = fault_after_two_deaths(watch, alive)
    assert fault is not None and fault.startswith("its workers die: ") and words in fault


def test_a_death_without_a_word(watch: StartWatch, alive: Alive) -> None:
    fault = fault_after_two_deaths(watch, alive)
    assert fault is not None and "SIGKILL" in fault and "WORKERS=1" in fault and " GB" in fault


def test_a_death_for_want_of_memory(watch: StartWatch, alive: Alive, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = start_watch._memory_kills()
    monkeypatch.setattr(start_watch, "_memory_kills", lambda: kills + 1)
    fault = fault_after_two_deaths(watch, alive)
    assert fault is not None and "(SIGKILL) for want of memory" in fault and "WORKERS=1" in fault


def test_a_limit_of_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start_watch, "memory_limit", lambda: None)
    assert start_watch._memory().startswith("this machine has ")
    monkeypatch.setattr(start_watch, "memory_limit", lambda: 2**31)
    assert start_watch._memory() == "this container or service may use 2.1 GB"


def test_what_torchserve_only_logs(watch: StartWatch, alive: Alive, tmp_path: Path) -> None:
    console = tmp_path / "console.log"
    console.write_text('nvidia-smi not available or failed: Cannot run program "nvidia-smi": error=2\n')
    assert watch.fault(VERSIONS) is None
    console.write_text(
        "2026 [WARN ] main org.pytorch.serve.ModelServer - Failed to load model: late.mar\n"
        "java.io.IOException: No space left on device\n\tat java.base\n"
    )
    assert watch.fault(VERSIONS) == "TorchServe does not load late.mar: No space left on device"
    console.write_text(
        "2026 [ERROR] W-9000-late_1.0 org.pytorch.serve.wlm.WorkerThread - Backend worker error\n"
        "org.pytorch.serve.wlm.WorkerInitializationException: Failed start worker process\n\tat x\n"
        'Caused by: java.io.IOException: Cannot run program "/x/python": error=12, Cannot allocate memory\n'
    )
    assert "error=12, Cannot allocate memory" in str(watch.fault(VERSIONS))


def test_a_model_that_does_not_load_is_told_at_once(watch: StartWatch, alive: Alive, tmp_path: Path) -> None:
    said(tmp_path, "Failed to load model late, exception model.pt is not the file")
    assert watch.fault(VERSIONS) == "late.mar does not load: model.pt is not the file"
    assert watch.fault([Archive(Path("image.mar"), "image", "1.0")]) is None
