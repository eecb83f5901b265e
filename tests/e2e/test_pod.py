"""The two processes of a pod, without a cluster: TorchServe with the pod's configuration, and the pod's nginx."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml
from manifests import BASE, ROOT, Manifest, container
from pod_proxy import NGINX, TOKEN, PodProxy, running_pod_proxy

from benchmarks.server.systems.torchserve_config import free_ports

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt install nginx-light")
POD = yaml.safe_load((BASE / "deployment.yaml").read_text(encoding="utf-8"))["spec"]["template"]["spec"]
PATIENCE = 60.0
V1 = "/v1/models/known"
CALLERS, ENOUGH = 8, 30


@dataclass
class Pod:
    """Both processes, and where they live.

    Args:
        home: what is /app in the pod.
        server: ``client serve --foreground``.
        proxy: nginx.
        environment: of the server's container.
    """

    home: Path
    server: "subprocess.Popen[bytes]"
    proxy: PodProxy
    environment: dict[str, str]

    def run(self, probe: str) -> "subprocess.CompletedProcess[str]":
        """A probe's command, as the kubelet would run it."""
        command = [sys.executable, *container(POD, "server")[probe]["exec"]["command"][1:]]
        return subprocess.run(
            command, cwd=self.home, env=self.environment, capture_output=True, text=True, check=False, timeout=PATIENCE
        )


@pytest.fixture
def pod(tmp_path: Path, known_archive: Path) -> Iterator[Pod]:
    home, state, nginx = tmp_path / "app", tmp_path / "state", tmp_path / "nginx"
    for folder in (home / "model_store", state, nginx):
        folder.mkdir(parents=True)
    shutil.copy(known_archive, home / "model_store" / "known.mar")
    (home / "deploy").symlink_to(ROOT / "deploy")
    inference, metrics = write_configuration(home)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "STATE_DIRECTORY": str(state)}
    command = [sys.executable, *container(POD, "server")["command"][1:]]
    with (tmp_path / "server.log").open("wb") as output:
        server = subprocess.Popen(
            command, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        with running_pod_proxy(nginx, behind=(inference, metrics)) as proxy:
            pod = Pod(home, server, proxy, environment)
            wait_until_started(pod)
            yield pod
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
            server.wait(PATIENCE)


def write_configuration(home: Path) -> tuple[int, int]:
    """The pod's own, with the tests' archive and free ports; those of inference and metrics."""
    text = (BASE / "config.properties").read_text(encoding="utf-8")
    inference, management, metrics, *grpc = free_ports(5)
    replacements = {
        "load_models=intermediate.mar": "load_models=known.mar",
        "127.0.0.1:8080": f"127.0.0.1:{inference}",
        "127.0.0.1:8081": f"127.0.0.1:{management}",
        "127.0.0.1:8082": f"127.0.0.1:{metrics}",
    }
    for old, new in replacements.items():
        assert old in text
        text = text.replace(old, new)
    text += f"grpc_inference_port={grpc[0]}\ngrpc_management_port={grpc[1]}\n"
    (home / "config.properties").write_text(text, encoding="utf-8")
    return inference, metrics


def wait_until_started(pod: Pod) -> None:
    """By the startup probe."""
    deadline = time.monotonic() + PATIENCE
    while (probe := pod.run("startupProbe")).returncode != 0:
        assert pod.server.poll() is None and time.monotonic() < deadline, probe.stdout + probe.stderr
        time.sleep(0.2)
    assert "known 1.0: 2 READY, 6 golden products as expected" in probe.stdout


def test_a_pod_answers_its_callers_and_its_probes(pod: Pod) -> None:
    assert [pod.run(probe).returncode for probe in ("readinessProbe", "livenessProbe")] == [0, 0]
    assert not list(pod.home.rglob("key_file.json"))
    instances = {"instances": [{"text": "red shoe"}, {"text": ""}, {"text": "bag", "top_k": 1}]}
    with pod.proxy.client() as caller, pod.proxy.client("0" * 64) as stranger:
        assert stranger.post("/predictions/known", json={"text": "red shoe"}).status_code == 401
        assert caller.post("/predictions/known", json={"text": "red shoe"}).json()["model"]["name"] == "known"
        answer = caller.post(f"{V1}:predict", json=instances)
        assert answer.status_code == 200 and answer.json() == caller.post("/predictions/known", json=instances).json()
        predictions = answer.json()["predictions"]
        assert ["label" in each for each in predictions] == [True, False, True]
        assert predictions[1]["type"] == "missing_field"
        [explained] = caller.post(f"{V1}:explain", json={"instances": [{"text": "red shoe"}]}).json()["predictions"]
        assert explained["text"] and explained["modality"]
        assert caller.post(f"{V1}:predict", json={"inputs": []}).json()["code"] == 400
        assert caller.get("/models").status_code == 404
    metrics = httpx.get(f"{pod.proxy.metrics}/metrics", trust_env=False).text
    waited = re.search(r'^ts_queue_latency_microseconds\{.*model_name="known".*\} ([\d.E+]+)$', metrics, re.M)
    assert waited is not None and float(waited[1]) > 0


def test_a_pod_that_goes_answers_all_that_it_took(pod: Pod) -> None:
    """In the order of Kubernetes: nginx by its preStop command, with a shorter pause, then the server by SIGTERM."""
    outcomes: list[str] = []
    over = threading.Event()

    def call() -> None:
        url, headers = f"{pod.proxy.url}/predictions/known", {"Authorization": f"Bearer {TOKEN}"}
        while not over.is_set():
            try:
                answer = httpx.post(url, content=b"red shoe", headers=headers, trust_env=False, timeout=PATIENCE)
                outcomes.append(str(answer.status_code))
            except httpx.ConnectError:
                outcomes.append("refused")
                time.sleep(0.05)
            except httpx.HTTPError as error:
                outcomes.append(f"lost: {error!r}")

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for caller in callers:
        caller.start()
    deadline = time.monotonic() + PATIENCE
    while len(outcomes) < ENOUGH and time.monotonic() < deadline:
        time.sleep(0.05)
    stop_the_proxy(pod)
    pod.server.send_signal(signal.SIGTERM)
    assert pod.server.wait(PATIENCE) == 0
    over.set()
    for caller in callers:
        caller.join()
    counted = Counter(outcomes)
    assert set(counted) == {"200", "refused"} and counted["200"] >= ENOUGH, counted


def stop_the_proxy(pod: Pod) -> None:
    hook: Manifest = container(POD, "proxy")["lifecycle"]["preStop"]["exec"]
    script = hook["command"][-1].replace("sleep 10;", "sleep 1;").replace("/tmp/", f"{pod.proxy.folder}/")
    subprocess.run([*hook["command"][:2], script], check=True, timeout=PATIENCE)
    assert pod.proxy.process.wait(PATIENCE) == 0
