"""What keeps a setting of TorchServe from working: each key with its check.

Most of what TorchServe cannot use it ignores or replaces without a word: ``yes`` is false, a blank behind a number ends
the start with a Java exception, an unknown key changes nothing.
"""

import difflib
import re
from collections.abc import Callable, Mapping

VARIABLE = re.compile(r"\$\$([^$]+[^$])\$\$")
SCRIPT_READS = ("vmargs", "model_store", "plugins_path")  # the start script, which knows neither escapes nor encodings
MAY_BE_EMPTY = ("load_models", "vmargs")
ADDRESS = re.compile(r"https?://([^:/]+)(?::([^/]*))?", re.IGNORECASE)
_LARGEST = 2**31 - 1
_OF_ARCHIVES = ("minworkers", "maxworkers", "batchsize", "maxbatchdelay", "responsetimeout", "startuptimeout")
Check = Callable[[str], str | None]


def fault_of(key: str, value: str) -> str | None:
    """What keeps a setting from working, and how to mend it; None if it can work.

    Args:
        key: its name.
        value: as TorchServe's front end understands it.
    """
    check = SETTINGS.get(key)
    return _unknown(key) if check is None else _written_badly(key, value) or check(value)


def _written_badly(key: str, value: str) -> str | None:
    if comment := re.search(r"\s#", value):
        return f"a comment needs a line of its own; move {value[comment.start() :].strip()!r} above this line"
    if value != value.rstrip():
        return "blanks behind the value count for TorchServe; delete them"
    if variable := VARIABLE.search(value):
        return f"{variable[0]} has no value here; set the variable, or write the value itself"
    if not value.isascii() and key not in SCRIPT_READS:
        return "TorchServe reads other letters than ASCII wrongly; use ASCII letters"
    if not value and key not in MAY_BE_EMPTY:
        return "the value is missing; write one, or delete the line"
    return None


def _unknown(key: str) -> str:
    if key.startswith("\ufeff"):
        return "the file begins with a byte order mark; save it as UTF-8 without one"
    if re.search(r"[:\s]", key):
        return "a setting is written key=value"
    plain = key.lower().removeprefix("ts_")
    if plain.replace("_", "") in _OF_ARCHIVES:
        return "this belongs to an archive's model-config.yaml; `make archive` writes it"
    near = difflib.get_close_matches(plain, SETTINGS, n=1)
    return "TorchServe has no such setting; " + (f"did you mean {near[0]}?" if near else "delete the line")


def _boolean(value: str) -> str | None:
    return None if value.lower() in ("true", "false") else "TorchServe takes it for false; write true or false"


def _whole(least: int, most: int = _LARGEST) -> Check:
    def check(value: str) -> str | None:
        usable = re.fullmatch(r"-?[0-9]{1,10}", value) and least <= int(value) <= most
        return None if usable else f"a whole number from {least} to {most} is needed"

    return check


def _minutes(value: str) -> str | None:
    usable = re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value) and float(value) > 0
    return None if usable else "a number of minutes above 0 is needed, such as 1440"


_check_port = _whole(1, 65534)  # TorchServe refuses 65535


def _address(value: str) -> str | None:
    found = ADDRESS.fullmatch(value)
    if value.lower().startswith("unix:"):
        return "the client does not speak through a unix socket; write http://127.0.0.1:PORT"
    if "[" in value:
        return "TorchServe does not take an IPv6 address; write http://127.0.0.1:PORT and let a proxy listen on IPv6"
    if found is None:
        host = value.rpartition("://")[2].partition("/")[0]
        return f"an address is written http://HOST:PORT, here perhaps http://{host or '127.0.0.1:8080'}"
    if found[2] is not None and (fault := _check_port(found[2])):
        return f"{found[2]!r} is no port: {fault}"
    return None


def _host(value: str) -> str | None:
    usable = re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+", value)
    return None if usable else "only a host is needed here, such as 127.0.0.1; the port has a key of its own"


def _one_of(*names: str) -> Check:
    return lambda value: None if value.lower() in names else f"one of {', '.join(names)} is needed"


def _pattern(value: str) -> str | None:
    try:
        re.compile(value)
    except re.error as error:
        return f"it is no regular expression ({error})"
    return None


def _anything(value: str) -> None:
    return None


def _never(why: str) -> Check:
    return lambda value: f"{why}; delete the line"


def _only_false(why: str) -> Check:
    return lambda value: why + "; write false" if value.lower() == "true" else _boolean(value)


_count, _seconds = _whole(1), _whole(1)
_envelope = _never("an envelope changes what our handler gets, and answers become text within JSON")
# Every setting that TorchServe 0.12 reads (ConfigManager.java and ts/model_server.py), with its check.
SETTINGS: Mapping[str, Check] = {
    **dict.fromkeys(("inference_address", "management_address", "metrics_address"), _address),
    **dict.fromkeys(("grpc_inference_address", "grpc_management_address"), _host),
    **dict.fromkeys(
        ("grpc_inference_port", "grpc_management_port", "initial_worker_port", "initial_distribution_port"), _check_port
    ),
    **dict.fromkeys(
        (
            "async_logging", "cpu_launcher_enable", "decode_input_request", "disable_system_metrics",
            "disable_token_authorization", "enable_envvars_config", "enable_grpc_ssl", "enable_metrics_api",
            "enable_model_api", "install_py_dep_per_model", "ipex_enable", "ipex_gpu_enable", "limit_max_image_pixels",
            "model_metrics_auto_detect", "prefer_direct_buffer", "ts_open_inference_protocol", "use_env_allowed_urls",
            "use_native_io",
        ),
        _boolean,
    ),
    **dict.fromkeys(("job_queue_size", "max_request_size", "max_response_size", "metric_time_interval"), _count),
    **dict.fromkeys(
        ("default_workers_per_model", "netty_client_threads", "number_of_gpu", "number_of_netty_threads"), _whole(0)
    ),
    **dict.fromkeys(("default_response_timeout", "default_startup_timeout", "unregister_model_timeout"), _seconds),
    **dict.fromkeys(
        (
            f"grpc_{api}_max_connection_age_{kind}ms" for api in ("inference", "management") for kind in ("", "grace_")
        ),
        _whole(1, 2**63 - 1),
    ),
    **dict.fromkeys(("allowed_urls", "blacklist_env_vars"), _pattern),
    **dict.fromkeys(
        (
            "certificate_file", "cors_allowed_headers", "cors_allowed_methods", "cors_allowed_origin",
            "cpp_log_config", "cpu_launcher_args", "default_service_handler", "keystore", "keystore_pass",
            "keystore_type", "load_models", "metrics_config", "model_server_home", "model_store", "models",
            "plugins_path", "private_key_file", "system_metrics_cmd", "ts_header_key_sequence_end",
            "ts_header_key_sequence_id", "ts_header_key_sequence_start", "vmargs", "workflow_store",
        ),
        _anything,
    ),
    "io_ratio": _whole(1, 100),
    "metrics_mode": _one_of("prometheus", "log", "legacy"),
    "token_expiration_min": _minutes,
    "debug": _only_false("TorchServe then starts no worker"),
    "service_envelope": _envelope,
    "model_snapshot": _never("TorchServe then restores a snapshot instead of load_models"),
}  # fmt: skip
