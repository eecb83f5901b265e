"""Start and stop: bare in an activated environment, from an unpacked archive elsewhere, and what fails."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_server import repack

from benchmarks.server.systems.torchserve_config import ROOT, write_config
from client.api.inference import ProductClient
from client.api.management import Management
from client.archives.model_store import ModelStore
from client.server import local_server
from client.server.config import ServerConfig
from client.server.local_server import StartError
from client.server.processes import end_server, server_processes
from client.server.readiness import check_ready

ACTIVATE = ROOT / "deploy" / "activate.sh"
PATIENCE = 60.0
PACKAGES = {"handlers", "training", "export", "client", "tests"}
SHADOWS = ("settings.py", "errors.py", "preprocessing.py", "engines.py", "product_serving/__init__.py")
RECORD = """import os, sys
with open({path!r}, "a") as file:
    print(sys.orig_argv, file=file)
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A short temporary folder: a socket's path has 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="ts-") as folder:
        yield Path(folder)
        end_server(Path(folder), patience=PATIENCE)


def environment(temporary: Path) -> dict[str, str]:
    """The variables of a user's shell before any activation."""
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "OMP_NUM_THREADS")}
    return {**kept, "PATH": os.defpath, "TMPDIR": str(temporary), "TEMP": str(temporary)}


def shell(command: str, folder: Path, temporary: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    with (folder / "console.log").open("a") as console:
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder,
            env=environment(temporary) | variables,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            check=True,
            text=True,
        )


def wait_ready(config: ServerConfig, store: ModelStore) -> None:
    deadline = time.monotonic() + PATIENCE
    while not config.key_file.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    with (
        ProductClient(config.inference_url, tokens=config.tokens()) as client,
        Management(config.management_url, tokens=config.tokens()) as management,
    ):
        while not local_server._answers(management) and time.monotonic() < deadline:
            time.sleep(0.1)
        management.wait_ready("intermediate", timeout=PATIENCE)
        check_ready(client, management, store, model="intermediate")


def wait_gone(temporary: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while server_processes(temporary) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not server_processes(temporary)


def test_a_bare_start_in_an_activated_environment_serves(store: ModelStore, tmp_path: Path, temporary: Path) -> None:
    config = write_config(tmp_path, store=store.folder)
    shell(f'. "{ACTIVATE}"; torchserve --start', tmp_path, temporary)
    wait_ready(config, store)
    shell(f'. "{ACTIVATE}"; torchserve --stop', tmp_path, temporary)
    wait_gone(temporary)
    assert not config.key_file.exists()


def test_an_environment_that_is_left_leaves_nothing_behind(tmp_path: Path, temporary: Path) -> None:
    command = f'. "{ACTIVATE}"; test -x "$JAVA_HOME/bin/java"; test "$TS_CONFIG_FILE" = config.properties; deactivate; '
    shell(command + 'test -z "${JAVA_HOME:-}${TS_CONFIG_FILE:-}"', tmp_path, temporary)
    shell(command + 'test "$JAVA_HOME" = /my/java', tmp_path, temporary, JAVA_HOME="/my/java")
    options = f'. "{ACTIVATE}"; test -z "${{_JAVA_OPTIONS:-}}"; deactivate; test "$_JAVA_OPTIONS" = -Xmx1m'
    shell(options, tmp_path, temporary, _JAVA_OPTIONS="-Xmx1m")
    shell(f'. "{ACTIVATE}"; {command}test -z "${{JAVA_HOME:-}}"', tmp_path, temporary)  # sourced twice


def test_an_unpacked_archive_serves_without_the_repository(store: ModelStore, tmp_path: Path, temporary: Path) -> None:
    """Nothing but the archive's folder, TorchServe and its own configuration of the logs and of the metrics."""
    models = tmp_path / "models"
    with zipfile.ZipFile(store.folder / "intermediate.mar") as content:
        content.extractall(models / "intermediate")
    config = write_config(tmp_path, store=models, load_models="intermediate")
    own = rf"-D[\w.]+={ROOT}/deploy/\S+|metrics_config={ROOT}/deploy/metrics.yaml\n"
    config.path.write_text(re.sub(own, "", config.path.read_text()))
    assert str(ROOT) not in config.path.read_text()
    start = f"{sys.executable} -m ts.model_server --start --ncs --ts-config config.properties"
    java = str(local_server._java_home())
    shell(start, tmp_path, temporary, JAVA_HOME=java, PYTHONPROFILEIMPORTTIME="1")
    wait_ready(config, store)
    log = (tmp_path / "logs" / "model_log.log").read_text()
    imported = {line.rsplit("|", 1)[1].strip() for line in log.splitlines() if "import time:" in line}
    assert {"product_serving.request", "tokenizers", "onnxruntime"} <= imported
    assert not {name.split(".")[0] for name in imported} & PACKAGES


def test_a_callers_pythonpath_does_not_shadow_the_archive(store: ModelStore, tmp_path: Path, temporary: Path) -> None:
    """A bare start hands it on to the workers, before the model's folder."""
    hostile, started = tmp_path / "hostile", tmp_path / "started.txt"
    for name in SHADOWS:
        (hostile / name).parent.mkdir(parents=True, exist_ok=True)
        (hostile / name).write_text("raise RuntimeError('a stranger')")
    (hostile / "sitecustomize.py").write_text(RECORD.format(path=str(started)))
    config = write_config(tmp_path, store=store.folder)
    start = f"{sys.prefix}/bin/torchserve --start --ncs --ts-config config.properties"
    shell(start, tmp_path, temporary, JAVA_HOME=str(local_server._java_home()), PYTHONPATH=str(hostile))
    wait_ready(config, store)
    assert "model_service_worker.py" in started.read_text()
    assert "a stranger" not in (tmp_path / "logs" / "model_log.log").read_text()


def test_a_stopped_server_leaves_nothing(store: ModelStore, tmp_path: Path) -> None:
    config = write_config(tmp_path, store=store.folder)
    started = local_server.start(config)
    assert started.temporary.exists() and len(server_processes(started.temporary)) == 3
    assert local_server.stop(config) and not local_server.stop(config)
    assert not started.temporary.exists() and not server_processes(started.temporary)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".torchserve", "config.properties", "logs"]


def test_a_model_that_does_not_load_stops_the_start(store: ModelStore, tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    repack(store.folder / "intermediate.mar", models / "intermediate.mar", version="1.0", changes={"model.pt": b""})
    config = write_config(tmp_path, store=models)
    with pytest.raises(StartError, match=r"intermediate\.mar does not load: model\.pt is not the file") as caught:
        local_server.start(config)
    _, last = str(caught.value).split("Last lines of ", 1)
    console, *lines, _ = last.splitlines()
    written = Path(console.removesuffix(":")).read_text(encoding="utf-8").splitlines()
    assert lines and set(lines) <= set(written), "the message has lines of the server's own log"
    assert local_server.find_server(config) is None and not config.key_file.exists()
    shutil.rmtree(models)
