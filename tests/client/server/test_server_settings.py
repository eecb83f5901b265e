"""Every setting that cannot work is refused before a start: the file, the line, the value, and the mend."""

from pathlib import Path

import pytest

from client.api.errors import ClientError
from client.server.config import ServerConfig, read_config
from client.server.setting_checks import fault_of

ROOT = Path(__file__).parents[3]


def configured(folder: Path, text: str) -> ServerConfig:
    (folder / "model_store").mkdir(exist_ok=True)
    path = folder / "config.properties"
    path.write_text(text, encoding="utf-8")
    return read_config(path)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ClientError) as caught:
        configured(folder, text).require_usable()
    return str(caught.value)


def test_our_own_configuration_is_usable(tmp_path: Path) -> None:
    config = read_config(ROOT / "config.properties")
    assert config.settings.faults() == []
    assert all(fault_of(entry.key, entry.value) is None for entry in config.settings.entries)


@pytest.mark.parametrize(
    ("line", "mend"),
    [
        ("service_envelope=kserve", "delete the line"),
        ("service_envelope=kservev2", "delete the line"),
        ("service_envelope=json", "delete the line"),
        ("service_envelope=body", "delete the line"),
        ("debug=true", "no worker; write false"),
        ("model_snapshot=logs/config/startup.cfg", "instead of load_models"),
        ("batch=4 # x", "no such setting"),
        ("job_queue_size=4 # x", "move '# x' above this line"),
        ("model_store=model_store # the store", "move '# the store' above"),
        ("load_models=intermediate.mar # first", "move '# first' above"),
        ("async_logging=true # yes", "move '# yes' above"),
        ("job_queue_size=100 ", "blanks behind the value"),
        ("async_logging=true\t", "blanks behind the value"),
        ("job_queue_size=", "the value is missing"),
        ("job_queue_size=-3", "whole number from 1"),
        ("job_queue_size=0", "whole number from 1"),
        ("job_queue_size=many", "whole number from 1"),
        ("job_queue_size=1.5", "whole number from 1"),
        ("max_request_size=6_553_500", "whole number from 1"),
        ("max_request_size=99999999999", "2147483647"),
        ("default_workers_per_model=-1", "whole number from 0"),
        ("default_response_timeout=0", "whole number from 1"),
        ("io_ratio=101", "from 1 to 100"),
        ("token_expiration_min=0", "minutes above 0"),
        ("token_expiration_min=a day", "minutes above 0"),
        ("inference_address=127.0.0.1:8080", "perhaps http://127.0.0.1:8080"),
        ("inference_address=localhost", "perhaps http://localhost"),
        ("inference_address=ftp://127.0.0.1:8080", "perhaps http://127.0.0.1:8080"),
        ("inference_address=http://127.0.0.1:8080/", "http://HOST:PORT"),
        ("inference_address=http://127.0.0.1:8080/v1", "http://HOST:PORT"),
        ("inference_address=http://[::1]:8080", "IPv6"),
        ("inference_address=unix:/tmp/socket", "unix socket"),
        ("management_address=http://127.0.0.1:70000", "'70000' is no port"),
        ("management_address=http://127.0.0.1:65535", "'65535' is no port"),
        ("management_address=http://127.0.0.1:0", "'0' is no port"),
        ("management_address=http://127.0.0.1:", "'' is no port"),
        ("management_address=http://127.0.0.1:abc", "'abc' is no port"),
        ("metrics_address=http://192.0.2.1:8082", "192.0.2.1 is no address of this machine"),
        ("grpc_inference_address=http://127.0.0.1", "only a host"),
        ("grpc_management_address=127.0.0.1:7071", "is no address of this machine"),
        ("grpc_inference_port=70000", "from 1 to 65534"),
        ("grpc_inference_port=abc", "from 1 to 65534"),
        ("inference_address=https://127.0.0.1:8443", "certificate_file"),
        ("disable_token_authorization=yes", "true or false"),
        ("enable_model_api=1", "true or false"),
        ("metrics_mode=statsd", "one of prometheus, log, legacy"),
        ("metrics_config=nowhere.yaml", "no such file"),
        ("allowed_urls=(((", "no regular expression"),
        ("jobqueue_size=100", "did you mean job_queue_size?"),
        ("Job_Queue_Size=100", "did you mean job_queue_size?"),
        ("TS_JOB_QUEUE_SIZE=100", "did you mean job_queue_size?"),
        ("inference_adress=http://127.0.0.1:8080", "did you mean inference_address?"),
        ("batchSize=4", "model-config.yaml"),
        ("max_batch_delay=5", "model-config.yaml"),
        ("job_queue_size: 100", "written key=value"),
        ("job_queue_size 100", "written key=value"),
        ("default_service_handler=größe.py", "ASCII"),
        ("metrics_config=$$NOBODY_SETS_THIS$$/x", "set the variable"),
        ("model_store=nowhere", "does not exist; `make archive` makes it"),
        ("model_store=config.properties", "is no folder"),
    ],
)
def test_what_cannot_work_is_refused_with_its_line_and_the_mend(tmp_path: Path, line: str, mend: str) -> None:
    message = refusal(tmp_path, f"# our server\n\n{line}\n")
    key = line.partition("=")[0]
    assert f"{tmp_path / 'config.properties'}, line 3: {key}" in message and mend in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "line",
    [
        "async_logging=TRUE",
        "metrics_mode=Prometheus",
        "load_models=",
        "vmargs=-Xmx2g -Dsome=thing",
        "inference_address=http://localhost:8080",
        "inference_address=HTTP://127.0.0.1:8080",
        "inference_address=http://0.0.0.0:8080",
        "management_address=http://127.0.0.1",
        "allowed_urls=https\\://models\\.example\\.com/.*",
        "grpc_inference_max_connection_age_ms=9999999999",
        "token_expiration_min=0.5",
        "! an exclamation mark begins a comment, too = yes",
        'models={"m": {\\\n  "1.0": {"minWorkers": 1}}}',
        "   job_queue_size   =   7",
        "metrics_config=$$HERE$$",
    ],
)
def test_what_works_is_let_through(tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "metrics.yaml")
    (tmp_path / "metrics.yaml").touch()
    config = configured(tmp_path, f"{line}\n")
    assert not config.settings.faults()
    config.require_usable()


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, "job_queue_size=7\nasync_logging=yes\njob_queue_size=8\nmodel_store=nowhere\n")
    first, second, third = message.splitlines()
    assert "line 2: async_logging=yes" in first
    assert "line 1: job_queue_size=7: line 3 sets it again" in second
    assert "line 4: model_store=nowhere" in third


def test_a_port_has_one_user(tmp_path: Path) -> None:
    message = refusal(tmp_path, "inference_address=http://127.0.0.1:8081\ngrpc_inference_port=7071\n")
    first, second = message.splitlines()
    assert (
        "management_address (not set in" in first and "port 8081 is that of" in first and "line 1: inference" in first
    )
    assert "port 7071" in second and "line 2: grpc_inference_port=7071" in second


def test_an_address_without_a_port_has_torchserves_own(tmp_path: Path) -> None:
    config = configured(tmp_path, "inference_address=http://127.0.0.1\nmanagement_address=http://127.0.0.1\n")
    assert config.ports == (80, 8081, 8082, 7070, 7071) and config.management_url == "http://127.0.0.1:8081"


def test_a_client_may_know_an_address_that_a_server_cannot_have(tmp_path: Path) -> None:
    config = configured(tmp_path, "inference_address=https://[::1]:8443/products/\n")
    assert config.inference_url == "https://[::1]:8443/products"


def test_variables_count_where_the_file_lets_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TS_SERVICE_ENVELOPE", "kserve")
    configured(tmp_path, "enable_envvars_config=false\n").require_usable()
    message = refusal(tmp_path, "enable_envvars_config=true\n")
    assert "the environment" in message and "TS_SERVICE_ENVELOPE=kserve" in message


def test_files_that_are_no_text_or_begin_with_a_mark(tmp_path: Path) -> None:
    assert "byte order mark" in refusal(tmp_path, "\ufeffjob_queue_size=7\n")
    path = tmp_path / "config.properties"
    path.write_bytes("job_queue_size=7".encode("utf-16"))
    with pytest.raises(ClientError, match="it is not UTF-8"):
        read_config(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ClientError, match="Is a directory"):
        read_config(path)


@pytest.mark.parametrize("line", ["job_queue_size=abc", "inference_address=nothing", "grpc_inference_port=x"])
def test_every_command_needs_some_of_them(tmp_path: Path, line: str) -> None:
    with pytest.raises(ClientError, match="line 1: "):
        configured(tmp_path, line)
