"""Two servers behind our nginx: a rolling replacement, a version that does not start, a server that is killed."""

import json
import os
import shutil
import signal
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from foreground_server import PATIENCE, STAYS, Foreground, foreground
from live_server import repack
from proxy import NGINX, OPENSSL, Proxy, running_proxy

from benchmarks.server.systems.torchserve_config import write_config
from client.server.config import STATE_VARIABLE, ServerConfig, read_config

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(NGINX is None or OPENSSL is None, reason="needs nginx and openssl: apt install nginx-light"),
]
CALLERS = 3


class NeverReady(Exception):
    """A version did not start."""


class Replica:
    """One of several servers, with a folder and ports of its own. As in a pod, it has no tokens.

    Args:
        folder: of its configuration and state.
        archives: version -> archive.
    """

    def __init__(self, folder: Path, archives: dict[str, Path]) -> None:
        store = folder / "model_store"
        store.mkdir(parents=True)
        for version, archive in archives.items():
            shutil.copy(archive, store / f"known-{version}.mar")
        path = write_config(folder, store=store).path
        text = path.read_text().replace("disable_token_authorization=false", "disable_token_authorization=true")
        self._text, self._path = text, path
        self.serving: Foreground | None = None
        self._stack = ExitStack()

    @property
    def config(self) -> ServerConfig:
        return read_config(self._path)

    def start(self, version: str) -> Foreground:
        """Start a version; whoever calls waits until it answers."""
        self._path.write_text(self._text.replace("load_models=intermediate.mar", f"load_models=known-{version}.mar"))
        self.serving = self._stack.enter_context(foreground(self.config))
        return self.serving

    def stop(self) -> None:
        """SIGTERM, and an honest status."""
        assert self.serving is not None and self.serving.stop() == 0

    def end(self) -> None:
        self._stack.close()


@pytest.fixture
def replicas(tmp_path: Path, known_archive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Replica]]:
    monkeypatch.delenv(STATE_VARIABLE, raising=False)
    newer, broken = tmp_path / "newer.mar", tmp_path / "broken.mar"
    repack(known_archive, newer, version="2.0", sealed=True)
    repack(known_archive, broken, version="3.0", changes={"settings.json": b"{}"}, sealed=True)
    archives = {"1.0": known_archive, "2.0": newer, "3.0": broken}
    made = [Replica(tmp_path / name, archives) for name in ("one", "two")]
    try:
        for replica in made:
            replica.start("1.0")
        for replica in made:
            assert replica.serving is not None
            replica.serving.wait_for(STAYS)
        yield made
    finally:
        for replica in made:
            replica.end()


@pytest.fixture
def proxy(replicas: list[Replica], tmp_path: Path) -> Iterator[Proxy]:
    """Our nginx with both servers; one that refuses the connection is passed over."""
    first, second = (replica.config.inference_url.removeprefix("http://") for replica in replicas)
    changes = {
        "zone torchserve": f"64k; server {second} max_conns=200 max_fails=0",
        f"server {first}": "max_conns=200 max_fails=0",
        "proxy_next_upstream": "error",
        "limit_req_zone": "$binary_remote_addr zone=requests:10m rate=10000r/s",
    }
    (tmp_path / "nginx").mkdir()
    with running_proxy(tmp_path / "nginx", replicas[0].config, **changes) as proxy:
        yield proxy


@contextmanager
def out_of(proxy: Proxy, replica: Replica) -> Iterator[None]:
    """Take a server out of the proxy: it listens before its models are ready. It comes back only if all goes well."""
    file = proxy.folder / "nginx.conf"
    text, server = file.read_text(), f"server {replica.config.inference_url.removeprefix('http://')} "
    for content in (text.replace(server, f"{server}down "), text):
        file.write_text(content)
        os.kill(int((proxy.folder / "nginx.pid").read_text()), signal.SIGHUP)
        time.sleep(1)  # until the old workers have ended
        if content != text:
            yield


class Callers:
    """Callers who ask without a pause as long as the block lasts, and what they were answered."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy, self._over = proxy, threading.Event()
        self._threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]
        self.outcomes: Counter[str] = Counter()
        self.versions: list[str] = []

    def __enter__(self) -> "Callers":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        context = ssl.create_default_context(cafile=str(self._proxy.certificate))
        # A reload closes kept connections; a client has to repeat what it sends at that moment.
        headers = {"Authorization": "Bearer any", "Content-Type": "text/plain", "Connection": "close"}
        with httpx.Client(verify=context, headers=headers, trust_env=False, timeout=PATIENCE) as client:
            while not self._over.is_set():
                try:
                    answer = client.post(f"{self._proxy.url}/predictions/known", content=b"red shoe")
                except httpx.HTTPError as error:
                    self.outcomes[f"lost: {error!r}"] += 1
                    continue
                self.outcomes[str(answer.status_code)] += 1
                if answer.status_code == 200:
                    self.versions.append(json.loads(answer.text)["model"]["version"])


def test_a_rolling_replacement_loses_no_request(replicas: list[Replica], proxy: Proxy) -> None:
    with Callers(proxy) as callers:
        time.sleep(1)
        for replica in replicas:
            with out_of(proxy, replica):
                replica.stop()
                replica.start("2.0").wait_for(STAYS)
        settled = len(callers.versions)
        time.sleep(1)
    assert set(callers.outcomes) == {"200"}, callers.outcomes
    assert set(callers.versions) == {"1.0", "2.0"} and set(callers.versions[settled + CALLERS :]) == {"2.0"}


def test_a_version_that_does_not_start_gets_no_request(replicas: list[Replica], proxy: Proxy) -> None:
    with Callers(proxy) as callers:
        time.sleep(0.5)
        with pytest.raises(NeverReady), out_of(proxy, replicas[0]):
            replicas[0].stop()
            if replicas[0].start("3.0").process.wait(PATIENCE) == 1:
                raise NeverReady
        time.sleep(0.5)
    assert set(callers.outcomes) == {"200"}, callers.outcomes
    assert set(callers.versions) == {"1.0"}


def test_of_a_killed_server_only_what_was_under_way_is_lost(replicas: list[Replica], proxy: Proxy) -> None:
    with Callers(proxy) as callers:
        time.sleep(0.5)
        assert replicas[0].serving is not None
        replicas[0].serving.kill()
        time.sleep(2)
    refused = sum(count for outcome, count in callers.outcomes.items() if outcome != "200")
    assert refused <= CALLERS, callers.outcomes
    assert callers.outcomes["200"] > 50
