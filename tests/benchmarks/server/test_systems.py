"""Configuration, counters and processes of what is measured; nothing here starts a server."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from benchmarks.server.load.bodies import BODY_FORMATS
from benchmarks.server.measure.rounds import Results, add_simulations
from benchmarks.server.peers.archive_handler import ArchiveHandler
from benchmarks.server.systems.names import SYSTEMS
from benchmarks.server.systems.peer import peers
from benchmarks.server.systems.process_usage import MARK, end, marked, new_mark, own_peak, usage
from benchmarks.server.systems.served_model import write_plain_archive
from benchmarks.server.systems.torchserve import parse_stages
from benchmarks.server.systems.torchserve_config import ROOT, write_config
from client.archives.model_store import identify_archive

METRICS = """# TYPE product_stage_milliseconds_sum counter
product_stage_milliseconds_sum{model_name="m",stage="infer",} 700.5
product_stage_milliseconds_sum{model_name="m",stage="decode",} 8.0E1
product_batch_size_bucket{model_name="m",le="16",} 9.0
product_batch_size_bucket{model_name="m",le="+Inf",} 10.0
product_labels_total{label="stage"} 3.0
"""


def test_the_server_is_measured_with_our_own_configuration(tmp_path: Path) -> None:
    """All but addresses, store and archive is as in production."""
    config = write_config(tmp_path, store=tmp_path / "store", load_models="model.mar")
    ours = (ROOT / "config.properties").read_text(encoding="utf-8").splitlines()
    differing = {line.split("=")[0] for line in set(config.path.read_text(encoding="utf-8").splitlines()) - set(ours)}
    assert differing <= {
        "inference_address", "management_address", "metrics_address", "grpc_inference_port", "grpc_management_port",
        "model_store", "load_models", "vmargs", "metrics_config",
    }  # fmt: skip
    assert config.load_models == ("model.mar",) and len({*config.ports}) == 5
    assert write_config(tmp_path, store=tmp_path / "store", load_models="").load_models == ()


def test_a_plain_archive_names_its_model(tmp_path: Path) -> None:
    archive = write_plain_archive(tmp_path / "noop.mar", "noop_handler", {"batchSize": 4})
    assert identify_archive(archive).model == "noop"
    with zipfile.ZipFile(archive) as content:
        assert {"noop_handler.py", "config.yaml"} < set(content.namelist())


def test_stages_are_read_from_the_metrics() -> None:
    assert parse_stages(METRICS) == {"infer": 700.5, "decode": 80.0, "batches": 10.0}


def test_peers_are_told_apart(tmp_path: Path) -> None:
    found = peers(Path(sys.executable), tmp_path / "model.mar", cap=16, workers=2)
    assert len({peer.name for peer in found}) == 6 and {peer.name for peer in found} < set(SYSTEMS)
    assert all(peer.body_format in BODY_FORMATS for peer in found)
    folders = (ROOT / "deploy" / "examples", ROOT / "benchmarks" / "server" / "peers")
    assert all(any((folder / f"{peer.module}.py").is_file() for folder in folders) for peer in found)


def test_processes_are_found_by_their_mark_and_ended() -> None:
    mark = new_mark()
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    process = subprocess.Popen([sys.executable, "-c", child], env={**os.environ, MARK: mark}, start_new_session=True)
    try:
        while len(marked(mark)) < 2:
            assert process.poll() is None
        found = usage(marked(mark))
        assert set(found) == marked(mark) and all(entry.peak_bytes > 0 for entry in found.values())
    finally:
        end(mark, process.pid, patience=0.5)
        process.wait()
    assert not marked(mark)


def test_a_process_knows_its_own_peak() -> None:
    assert own_peak() > 2**20


def test_the_handler_answers_what_frameworks_hand_over(known_archive: Path) -> None:
    """Raw JSON and JSON that was parsed give the same answer."""
    raw, parsed = ArchiveHandler(known_archive)([b'{"text": "Red Shoe"}', {"text": "Red Shoe"}])
    assert raw == parsed and '"label"' in raw


def test_the_perfect_queue_gets_the_same_arrivals() -> None:
    """A lone arrival takes the time of a batch of one; what came in the warm-up does not count."""
    loop = {"load": 0.7, "arrivals": [0.0, 0.001, 5.0], "warm": 1.0}
    results = Results(in_process=[{"batch_seconds": {"1": [0.5], "2": [0.8]}}])
    results.systems["ours"] = [{"open": [loop]}]
    add_simulations(results, cap=16, workers=1)
    assert loop["perfect_p99_ms"] == pytest.approx(500.0)
    assert "arrivals" not in loop
