"""The pod's nginx in a real nginx: whose requests pass, which, and how it goes."""

import concurrent.futures
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from manifests import BASE, KUBERNETES, container
from pod_proxy import METRICS, NGINX, OTHER, TOKEN, PodProxy, command, configured, running_pod_proxy

from export.queue_size import QUEUE_LEAST

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt install nginx-light")
ROUTE = "/predictions/intermediate"
V1 = "/v1/models/intermediate"
INSTANCES = {"instances": [{"text": "Running Shoe"}, {"text": "Tote Bag"}]}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodProxy]:
    with running_pod_proxy(tmp_path_factory.mktemp("pod")) as proxy:
        yield proxy


def error(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["Content-Type"].startswith("application/json")
    answer = response.json()
    assert answer["code"] == response.status_code and answer["message"]
    return answer["code"], answer["type"]


def test_nginx_accepts_the_file(tmp_path: Path) -> None:
    file, _ = configured(tmp_path)
    checked = subprocess.run(command(file, "-t"), capture_output=True, text=True, check=False)
    assert checked.returncode == 0 and "test is successful" in checked.stderr
    assert "[warn]" not in checked.stderr and "[emerg]" not in checked.stderr


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}0", f"Basic {TOKEN}", TOKEN, "Bearer shop", "default"],
)
def test_who_has_no_token_of_the_secret_stays_outside(proxy: PodProxy, header: str | None) -> None:
    with proxy.client(token=None) as client:
        answer = client.post(ROUTE, content=b"shoe", headers={} if header is None else {"Authorization": header})
    assert error(answer) == (401, "missing_token")


def test_a_caller_passes_and_its_token_does_not(proxy: PodProxy) -> None:
    for token, name in ((TOKEN, "shop"), (OTHER, "batch")):
        with proxy.client(token) as client:
            for path in (ROUTE, f"{ROUTE}/1.0", "/explanations/intermediate"):
                answer = client.post(f"{path}?text=secret", content=b"shoe").json()
                assert (answer["path"], answer["body"]) == (path, "shoe")
                assert "authorization" not in answer["headers"]
        logged = (proxy.folder / "access.log").read_text()
        assert f" {name} POST {ROUTE} 200 " in logged
    assert "secret" not in logged and TOKEN not in logged and OTHER not in logged


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/ping", (404, "unknown_route")),
        ("GET", "/models", (404, "unknown_route")),
        ("POST", "/models?url=late.mar", (404, "unknown_route")),
        ("PUT", "/models/intermediate?min_worker=0", (404, "unknown_route")),
        ("GET", "/token?type=management", (404, "unknown_route")),
        ("GET", "/metrics", (404, "unknown_route")),
        ("POST", "/predictions/%2e%2e/models", (404, "unknown_route")),
        ("POST", "/predictions/a/../../models", (404, "unknown_route")),
        ("GET", ROUTE, (405, "wrong_method")),
        ("DELETE", f"{ROUTE}/1.0", (405, "wrong_method")),
        ("GET", V1, (404, "unknown_route")),
        ("GET", f"{V1}:predict", (405, "wrong_method")),
        ("POST", f"{V1}:train", (404, "unknown_route")),
        ("POST", "/v1/models/a/b:predict", (404, "unknown_route")),
        ("POST", "/v2/models/intermediate/infer", (404, "unknown_route")),
    ],
)
def test_only_the_inference_routes_pass(proxy: PodProxy, method: str, path: str, expected: tuple[int, str]) -> None:
    with proxy.client() as client:
        assert error(client.request(method, path)) == expected


def test_metrics_have_a_port_of_their_own(proxy: PodProxy) -> None:
    with httpx.Client(base_url=proxy.metrics, trust_env=False) as client:
        assert client.get("/metrics").text == METRICS
        assert error(client.post("/metrics")) == (405, "wrong_method")
        for path in (ROUTE, V1, "/models", "/ping", "/metrics/x", "/error.json"):
            answer = client.post(path, headers={"Authorization": f"Bearer {TOKEN}"})
            assert error(answer) == (404, "unknown_route"), path


def test_kserves_paths_are_ours_with_the_same_bodies(proxy: PodProxy) -> None:
    with proxy.client() as client:
        for verb, path in (("predict", ROUTE), ("explain", "/explanations/intermediate")):
            ours, theirs = client.post(path, json=INSTANCES).json(), client.post(f"{V1}:{verb}", json=INSTANCES).json()
            assert theirs == ours and ours["path"] == path
    with proxy.client(token=None) as client:
        assert error(client.post(f"{V1}:predict", json=INSTANCES)) == (401, "missing_token")


def test_limits_are_those_outside_a_pod(proxy: PodProxy) -> None:
    with proxy.client() as client:
        assert client.post(ROUTE, content=bytes(6_553_500)).status_code == 200
        assert error(client.post(ROUTE, content=bytes(6_553_501))) == (413, "request_too_large")
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert error(client.post(ROUTE, content=b"a=&" * 33_334, headers=form)) == (413, "request_too_large")


def test_a_server_that_is_down_is_worth_another_try(tmp_path: Path) -> None:
    with running_pod_proxy(tmp_path, upstream=False) as proxy, proxy.client() as client:
        answer = client.post(ROUTE, content=b"shoe")
        assert error(answer) == (503, "server_down") and answer.headers["Retry-After"] == "5"
        assert error(httpx.get(f"{proxy.metrics}/metrics", trust_env=False)) == (503, "server_down")


def test_one_caller_leaves_room_for_the_others(tmp_path: Path) -> None:
    with (
        running_pod_proxy(tmp_path, **{"limit_conn": "connections 2"}) as proxy,
        proxy.client() as shop,
        proxy.client(OTHER) as batch,
        concurrent.futures.ThreadPoolExecutor(6) as threads,
    ):
        asked = [threads.submit(shop.post, "/predictions/slow", content=b"x") for _ in range(6)]
        time.sleep(0.4)
        assert batch.post(ROUTE, content=b"x").status_code == 200
        answers = [each.result() for each in asked]
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429, 429, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert error(refused) == (429, "too_many_requests") and refused.headers["Retry-After"] == "1"


def test_more_than_the_queue_holds_is_turned_away_at_once(tmp_path: Path) -> None:
    """So the probes, which ask TorchServe itself, find room in its queue."""
    with (
        running_pod_proxy(tmp_path, at_once=2) as proxy,
        proxy.client() as client,
        concurrent.futures.ThreadPoolExecutor(5) as threads,
    ):
        answers = list(threads.map(lambda _: client.post("/predictions/slow", content=b"x"), range(5)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(refused) == 3
    for answer in refused:
        assert error(answer) == (503, "server_down") and answer.headers["Retry-After"] == "5"
    assert f"max_conns={QUEUE_LEAST};" in (BASE / "nginx.conf").read_text(encoding="utf-8")


def test_the_example_of_a_secret_admits_nobody(tmp_path: Path) -> None:
    secret = yaml.safe_load((KUBERNETES / "secret.example.yaml").read_text(encoding="utf-8"))
    with running_pod_proxy(tmp_path, tokens=secret["stringData"]["tokens.conf"]) as proxy, proxy.client() as client:
        assert error(client.post(ROUTE, content=b"shoe")) == (401, "missing_token")


def test_without_tokens_nginx_does_not_start(tmp_path: Path) -> None:
    file, _ = configured(tmp_path, tokens=None)
    checked = subprocess.run(command(file, "-t"), capture_output=True, text=True, check=False)
    assert checked.returncode != 0 and "tokens.conf" in checked.stderr


def test_it_goes_when_every_request_is_answered(tmp_path: Path) -> None:
    """The preStop command itself, with a shorter pause: until its end callers are answered, then they are refused."""
    deployment = yaml.safe_load((BASE / "deployment.yaml").read_text(encoding="utf-8"))
    hook = container(deployment["spec"]["template"]["spec"], "proxy")["lifecycle"]["preStop"]["exec"]["command"]
    script = (
        hook[-1]
        .replace("sleep 10;", "sleep 1;")
        .replace("/tmp/", f"{tmp_path}/")
        .replace("sleep 1; done", "sleep 0.1; done")
    )
    assert hook[:2] == ["/bin/sh", "-c"] and script != hook[-1]
    with (
        running_pod_proxy(tmp_path) as proxy,
        proxy.client() as client,
        concurrent.futures.ThreadPoolExecutor(1) as threads,
    ):
        stopping = subprocess.Popen([*hook[:2], script])
        time.sleep(0.6)
        under_way = threads.submit(client.post, "/predictions/slow", content=b"x")  # until 1.6 s
        time.sleep(0.1)
        assert httpx.post(proxy.url + ROUTE, headers=dict(client.headers), trust_env=False).status_code == 200
        time.sleep(0.6)
        with pytest.raises(httpx.ConnectError):
            httpx.post(proxy.url + ROUTE, trust_env=False)
        assert proxy.process.poll() is None and stopping.poll() is None
        assert under_way.result().status_code == 200
        assert proxy.process.wait(timeout=10) == 0
        assert stopping.wait(timeout=10) == 0
