"""Reads from ``config.properties`` what a client needs: addresses, model store, and the models loaded at the start."""

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from client.api.errors import ClientError
from client.api.inference import INFERENCE_URL
from client.api.proxies import is_this_machine
from client.api.tokens import KEY_FILE, MANAGEMENT_URL, Tokens
from client.server.settings import Settings

CONFIG = Path("config.properties")
STATE_VARIABLE = "STATE_DIRECTORY"  # systemd sets it for a unit with StateDirectory=
_GRPC_PORTS = {"grpc_inference_port": "7070", "grpc_management_port": "7071"}
_ADDRESSES = {
    "inference_address": INFERENCE_URL,
    "management_address": MANAGEMENT_URL,
    "metrics_address": "http://127.0.0.1:8082",
}
_JOB_QUEUE_SIZE = "100"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """A server's configuration, with TorchServe's defaults for missing entries.

    Args:
        settings: the entries of the file.
        state: the folder in which the server runs, and which it writes its logs, tokens and temporary files to.
        inference_url: address of the inference API.
        management_url: address of the management API.
        metrics_url: address of the metrics.
        listeners: host and port that the server listens on, for each setting that names one.
        model_store: folder of the archives.
        load_models: archives loaded at the start.
        job_queue_size: requests that may wait for a model; the server answers further ones with 503.
    """

    settings: Settings
    state: Path
    inference_url: str
    management_url: str
    metrics_url: str
    listeners: Mapping[str, tuple[str, int]]
    model_store: Path
    load_models: tuple[str, ...]
    job_queue_size: int

    @property
    def path(self) -> Path:
        """The file."""
        return self.settings.path

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports that the server listens on: inference, management, metrics, and both of gRPC."""
        return tuple(port for _, port in self.listeners.values())

    @property
    def folder(self) -> Path:
        """The folder of the file; its relative paths begin there."""
        return self.path.parent

    @property
    def key_file(self) -> Path:
        """The file that the server writes its tokens to."""
        return self.state / KEY_FILE

    def tokens(self, key_file: Path | None = None) -> Tokens:
        """The server's tokens, from its own key file or the given one."""
        return Tokens(key_file or self.key_file, management_url=self.management_url)

    def require_usable(self) -> None:
        """Check all settings, as a start needs them.

        Raises:
            ClientError: some cannot work; the message has a line for each.
        """
        if faults := [*self.settings.faults(), *self._unusable_listeners(), *self._unusable_store()]:
            raise ClientError("\n".join(faults))

    def _unusable_listeners(self) -> Iterator[str]:
        for (one, (_, port)), (other, (_, same)) in itertools.combinations(self.listeners.items(), 2):
            if port == same:
                where = self.settings.where
                yield f"{where(other)}: port {port} is that of {where(one)}; each needs a port of its own"
        for key, (host, _) in self.listeners.items():
            if not is_this_machine(host):
                name = key.replace("grpc_inference_port", "grpc_inference_address")
                name = name.replace("grpc_management_port", "grpc_management_address")
                yield f"{self.settings.where(name)}: {host} is no address of this machine; write 127.0.0.1"

    def _unusable_store(self) -> Iterator[str]:
        place = self.settings.where("model_store")
        if not self.model_store.exists():
            yield f"{place}: {self.model_store} does not exist; `make archive` makes it"
        elif not self.model_store.is_dir():
            yield f"{place}: {self.model_store} is no folder; name the folder of the archives"


def read_config(path: Path = CONFIG) -> ServerConfig:
    """Read a configuration file.

    Raises:
        ClientError: the file cannot be read, or a value that a client needs cannot work.
    """
    settings = Settings(path.absolute())
    urls = {key: settings.url(key, default) for key, default in _ADDRESSES.items()}
    listeners = {key: (str(url.hostname), url.port or 0) for key, url in urls.items()}
    for key, default in _GRPC_PORTS.items():
        host = settings.get(key.replace("port", "address"), "127.0.0.1")
        listeners[key] = (host, int(settings.get(key, default)))
    return ServerConfig(
        settings=settings,
        state=_state_folder(settings.path.parent),
        inference_url=urls["inference_address"].geturl(),
        management_url=urls["management_address"].geturl(),
        metrics_url=urls["metrics_address"].geturl(),
        listeners=listeners,
        model_store=settings.path.parent / settings.get("model_store", "model_store"),
        load_models=tuple(name.strip() for name in settings.get("load_models", "").split(",") if name.strip()),
        job_queue_size=int(settings.get("job_queue_size", _JOB_QUEUE_SIZE)),
    )


def _state_folder(home: Path) -> Path:
    """The folder that the environment names, else that of the configuration. systemd may name several, with colons.

    Raises:
        ClientError: it is relative, or there is none.
    """
    named = os.environ.get(STATE_VARIABLE, "").split(":")[0]
    if not named:
        return home
    if not Path(named).is_absolute() or not Path(named).is_dir():
        raise ClientError(f"{STATE_VARIABLE}={named}: there is no such folder; name one by its whole path, and make it")
    return Path(named)
