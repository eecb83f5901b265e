"""The front end under what it cannot read, and its gRPC API: it keeps no memory, and no worker dies."""

import json
import shutil
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from broken_forms import BROKEN_FORMS, front_end_megabytes, padding
from live_server import first_answer

from benchmarks.server.load.connections import encode
from client.api.inference import ProductClient
from client.server.config import ServerConfig

pytestmark = pytest.mark.usefixtures("every_worker_lives")
CURL = shutil.which("curl")
needs_http2 = pytest.mark.skipif(
    CURL is None or b"HTTP2" not in subprocess.run([CURL, "--version"], capture_output=True, check=True).stdout,
    reason="needs curl with HTTP/2: apt install curl",
)
TITLE = b"Marlow Men Navy"
LEAK, GROWTH = 600, 400  # megabytes that are sent, and that memory may grow by


def test_broken_forms_are_answered_and_leave_no_memory(config: ServerConfig) -> None:
    """Netty frees no form that it cannot read; without `allocator.type=unpooled` these requests cost 800 MB."""

    def status(name: str, pad: bytes) -> int:
        kind, build, _ = BROKEN_FORMS[name]
        headers = {**config.tokens().headers("inference"), "Content-Type": kind}
        request = encode("/predictions/intermediate", headers=headers, body=build(pad))
        return first_answer(config.inference_url, request)[0]

    small, large = padding(50_000), padding(6_000_000)
    found = {name: status(name, small) for name in BROKEN_FORMS}
    assert found == {name: expected for name, (_, _, expected) in BROKEN_FORMS.items()}
    before = front_end_megabytes(config)
    assert {status("no disposition", large) for _ in range(LEAK // 6)} == {500}
    assert front_end_megabytes(config) - before < GROWTH


@pytest.fixture
def call(config: ServerConfig, tmp_path: Path) -> Callable[..., tuple[str | None, bytes]]:
    """Call a method of the inference API over gRPC; return the status, and the answer's bytes from the message on."""
    url = f"http://127.0.0.1:{config.ports[3]}/org.pytorch.serve.grpc.inference.InferenceAPIsService/"

    def ask(method: str, *, sequence: bytes = b"", seconds: float = 30, **fields: bytes) -> tuple[str | None, bytes]:
        folder = tmp_path / f"{method}-{threading.get_ident()}"
        folder.mkdir(exist_ok=True)
        message = _field(1, b"intermediate") + (_field(4, sequence) if sequence else b"")
        message += b"".join(_field(3, _field(1, name.encode()) + _field(2, value)) for name, value in fields.items())
        (folder / "request").write_bytes(struct.pack("!BI", 0, len(message)) + message)
        command = [str(CURL), "-sS", "--http2-prior-knowledge", "-m", str(seconds), "--data-binary", "@request"]
        command += ["-D", "head", "-o", "answer", "-H", "Content-Type: application/grpc", "-H", "TE: trailers"]
        token = config.tokens().headers("inference")["Authorization"]
        command += ["-H", f"Authorization: {token}", url + method]
        subprocess.run(command, cwd=folder, capture_output=True, check=False)
        head, answer = folder / "head", folder / "answer"
        lines = head.read_text().split() if head.exists() else []
        status = lines[lines.index("grpc-status:") + 1] if "grpc-status:" in lines else None
        return status, answer.read_bytes()[5:] if answer.exists() else b""

    return ask


def _field(number: int, content: bytes) -> bytes:
    """A field of a protobuf message: bytes of a length below 2^14."""
    length = len(content)
    return bytes([number << 3 | 2, *([length] if length < 128 else [length & 127 | 128, length >> 7])]) + content


@needs_http2
@pytest.mark.parametrize("method", ["Predictions", "StreamPredictions"])
def test_grpc_calls_end_with_their_answer(call: Callable[..., tuple[str | None, bytes]], method: str) -> None:
    """A refusal has the status OK too: TorchServe passes on the JSON only."""
    for fields, key in (({"text": TITLE}, "label"), ({"x": b"1"}, "code"), ({"content-length": b"1"}, "code")):
        for _ in range(3):
            status, answer = call(method, **fields)
            assert status == "0" and key in json.loads(answer[answer.index(b"{") :])


@needs_http2
def test_a_stream_of_questions_fails_and_no_worker_dies(call: Callable[..., tuple[str | None, bytes]]) -> None:
    """It needs sequence batching. Only its answer, which has nobody to go to, could end a worker."""
    for _ in range(4):
        assert call("StreamPredictions2", sequence=b"s", text=TITLE) == ("2", b"")


@needs_http2
def test_grpc_calls_share_batches_with_http_and_may_hang_up(
    call: Callable[..., tuple[str | None, bytes]], client: ProductClient
) -> None:
    expected = client.predict(text=TITLE.decode())
    calls = [lambda n=n: call("StreamPredictions", text=TITLE, seconds=n) for n in (30, 0.01, 0.02, 0.05)]  # type: ignore[misc]
    calls.append(lambda: call("StreamPredictions2", sequence=b"s", text=TITLE))
    threads = [threading.Thread(target=each) for each in calls * 2]
    for thread in threads:
        thread.start()
    answers = [client.predict(text=TITLE.decode()) for _ in range(100)]
    for thread in threads:
        thread.join()
    assert {answer.label for answer in answers} == {expected.label}
