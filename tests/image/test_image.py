"""What the image holds, and a container of it: started, asked, drained and stopped as an orchestrator does it."""

import json
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

from callers import callers
from containers import RUN, Container, podman
from live_server import repack

Start = Callable[..., Container]
STAYS = "Stays in the foreground"
COMPILERS = ("cc", "gcc", "g++", "clang", "make", "pip")


def ask(container: Container, path: str = "/predictions/known") -> tuple[int, bytes] | None:
    """One request on a connection of its own; None if the connection is refused."""
    port = container.config.listeners["inference_address"][1]
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.connect()
        connection.request("POST", path, b"red shoe", container.headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except ConnectionRefusedError:
        return None
    finally:
        connection.close()


def test_it_holds_a_server_and_nothing_to_build_or_train_with(image: str) -> None:
    [described] = json.loads(podman("inspect", image))
    config = described["Config"]
    assert config["User"] == "10001:10001" and config["StopSignal"] == "SIGTERM"
    assert config["Labels"]["org.opencontainers.image.title"] == "product-classifier"
    assert "ready" in json.dumps(described.get("HealthCheck") or described.get("Healthcheck") or config["Healthcheck"])
    search = (
        f"for each in {' '.join(COMPILERS)}; do command -v $each; done; ls /app /app/training; python -c 'import torch'"
    )
    found = podman("run", "--rm", *RUN, "--entrypoint", "sh", image, "-c", search, check=False).split()
    assert set(found) & set(COMPILERS) == set() and not any(path.startswith("/") and "bin" in path for path in found)
    assert {"client", "handlers", "deploy", "config.properties"} <= set(found)
    assert not {"pipeline", "models", "fit"} & set(found)


def test_its_bill_of_materials_names_every_package(image: str) -> None:
    listed = (
        "import importlib.metadata as m; print(*sorted({d.name.lower() + '==' + d.version for d in m.distributions()}))"
    )
    command = f'cat /app/sbom.cdx.json; echo; echo ---; python -c "{listed}"'
    text = podman("run", "--rm", *RUN, "--entrypoint", "sh", image, "-c", command)
    bill, _, installed = text.partition("---")
    named = {f"{each['name'].lower()}=={each['version']}" for each in json.loads(bill)["components"]}
    assert {name.replace("_", "-") for name in installed.split()} == named


def test_it_runs_restricted_answers_and_stops(start: Start, known_archive: Path) -> None:
    container = start(known_archive)
    container.wait_for(STAYS)
    assert "known 1.0: 2 READY" in container.client("ready")
    assert container.client("alive") == "TorchServe answers.\n"
    assert "healthy" in podman("healthcheck", "run", container.name) or container.status is None
    answer = ask(container)
    assert answer is not None and answer[0] == 200 and json.loads(answer[1])["label"]
    explained = ask(container, "/explanations/known")
    assert explained is not None and explained[0] == 200 and json.loads(explained[1])["text"]
    assert container.stop() == 0
    assert "The server is stopped; every request was answered." in container.printed
    left = {path.name for path in container.config.path.with_name("state").iterdir()}
    assert left == {".torchserve", "deploy", "logs", "model_store"}


def outcome(container: Container) -> str:
    answer = ask(container)
    return "refused" if answer is None else str(answer[0])


def test_a_stop_under_load_loses_no_request(start: Start, known_archive: Path) -> None:
    container = start(known_archive)
    container.wait_for(STAYS)
    with callers(4, lambda: outcome(container)) as outcomes:
        time.sleep(1)
        status = container.stop()
    assert status == 0, container.printed
    assert set(outcomes) == {"200", "refused"} and outcomes.count("200") > 50


def test_an_archive_that_does_not_load_ends_it(start: Start, known_archive: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "known.mar"
    broken.parent.mkdir()
    repack(known_archive, broken, version="1.0", changes={"settings.json": b"{}"}, sealed=True)
    container = start(broken)
    deadline = time.monotonic() + 60
    while container.status is None and time.monotonic() < deadline:
        time.sleep(0.5)
    assert container.status == 1
    assert "known.mar does not load" in container.printed and "Traceback" not in container.printed
