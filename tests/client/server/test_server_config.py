"""The server's configuration: what a client reads of it, and that ours stays secure."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from client.api.errors import ClientError
from client.server.config import read_config

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "config.properties"
SECURE = {
    "inference_address": "http://127.0.0.1:8080",
    "management_address": "http://127.0.0.1:8081",
    "metrics_address": "http://127.0.0.1:8082",
    "grpc_inference_address": "127.0.0.1",
    "grpc_management_address": "127.0.0.1",
    "disable_token_authorization": "false",
    "token_expiration_min": "1440",
    "allowed_urls": "^$",
    "use_env_allowed_urls": "false",
    "enable_envvars_config": "false",
    "install_py_dep_per_model": "false",
    "max_request_size": "6553500",
    "max_response_size": "1048576",
    "job_queue_size": "100",
    "decode_input_request": "false",
    "metrics_mode": "prometheus",
    "async_logging": "true",
    "model_store": "model_store",
    "load_models": "intermediate.mar",
}


def lines() -> list[str]:
    return CONFIG.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(("name", "value"), SECURE.items())
def test_our_configuration_is_secure(name: str, value: str) -> None:
    assert [line for line in lines() if line.startswith(f"{name}=")] == [f"{name}={value}"]


def test_every_group_of_settings_has_a_reason() -> None:
    """A comment, settings, a comment: no setting follows a blank line or opens the file."""
    given = lines()
    assert all(given[row - 1].strip() for row, line in enumerate(given) if line and not line.startswith("#"))


def test_the_log_configuration_is_there_and_quiet() -> None:
    [vmargs] = [line for line in lines() if line.startswith("vmargs=")]
    [log] = [word for word in vmargs.split() if word.startswith("-Dlog4j.configurationFile=")]
    document = ElementTree.parse(ROOT / log.split("=")[1]).getroot()
    root = document.find("Loggers/Root")
    assert root is not None and root.get("level") == "warn"


def test_addresses_and_archives_are_read() -> None:
    config = read_config(CONFIG)
    assert (config.inference_url, config.management_url) == ("http://127.0.0.1:8080", "http://127.0.0.1:8081")
    assert config.ports == (8080, 8081, 8082, 7070, 7071)
    assert config.model_store == ROOT / "model_store" and config.load_models == ("intermediate.mar",)
    assert config.folder == ROOT and config.key_file == ROOT / "key_file.json"


def test_what_a_file_does_not_say_is_torchserves_default(tmp_path: Path) -> None:
    path = tmp_path / "own.properties"
    path.write_text("# load_models=none.mar\nmanagement_address = http://127.0.0.1:9/\nload_models=a.mar, b=b.mar\n")
    config = read_config(path)
    assert config.ports == (8080, 9, 8082, 7070, 7071)
    assert config.load_models == ("a.mar", "b=b.mar") and config.management_url == "http://127.0.0.1:9"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match=r"none\.properties cannot be read; run in the project's root"):
        read_config(tmp_path / "none.properties")
