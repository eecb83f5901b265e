"""Who may reach the server: tokens on every route, loopback only."""

import httpx
import pytest
from live_server import LOOPBACK, ROUTES, listening

from client.api.management import Management
from client.server.config import ServerConfig
from client.server.local_server import find_server
from client.server.processes import server_processes


@pytest.mark.parametrize("token", ["none", "wrong", "of the other API", "empty"])
@pytest.mark.parametrize(("api", "method", "path"), ROUTES)
def test_every_route_asks_for_its_token(config: ServerConfig, api: str, method: str, path: str, token: str) -> None:
    other = config.tokens().headers("management" if api == "inference" else "inference")
    headers = {"none": {}, "wrong": {"Authorization": "Bearer x"}, "empty": {"Authorization": ""}}.get(token, other)
    url = config.inference_url if api == "inference" else config.management_url
    response = httpx.request(method, url + path, headers=headers)
    assert (response.status_code, response.json()["type"]) == (400, "InvalidKeyException")


def test_only_the_description_of_the_api_is_open(config: ServerConfig) -> None:
    """TorchServe answers it before it looks at a token; it names no model."""
    for url in (config.inference_url, config.management_url):
        description = httpx.options(url)
        assert "openapi" in description.json() and "intermediate" not in description.text


def test_nothing_was_changed_without_a_token(management: Management) -> None:
    assert management.models() == ["intermediate"]
    assert management.wait_ready("intermediate", timeout=0).default


def test_only_loopback_listens(config: ServerConfig) -> None:
    server = find_server(config)
    assert server is not None
    found = listening(set(server_processes(server.temporary)))
    assert {port for _, port in found} == set(config.ports)
    assert {address for address, _ in found} <= LOOPBACK


def test_only_the_owner_reads_the_tokens(config: ServerConfig) -> None:
    assert config.key_file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("url", ["https://example.com/late.mar", "file:///etc/passwd", "../late.mar", "/etc/passwd"])
def test_archives_come_from_the_store_alone(config: ServerConfig, url: str) -> None:
    headers = config.tokens().headers("management")
    response = httpx.post(f"{config.management_url}/models", params={"url": url}, headers=headers, timeout=20)
    assert response.status_code in (400, 404)


def test_metrics_are_there_for_prometheus(config: ServerConfig) -> None:
    port = config.ports[2]
    assert "# TYPE ts_inference_requests_total counter" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
