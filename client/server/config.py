"""Reads from ``config.properties`` what a client needs: addresses, model store, and the models loaded at the start."""

import dataclasses
from pathlib import Path
from urllib.parse import urlsplit

from client.api.errors import ClientError
from client.api.inference import INFERENCE_URL
from client.api.tokens import KEY_FILE, MANAGEMENT_URL, Tokens

CONFIG = Path("config.properties")
_GRPC_PORTS = {"grpc_inference_port": "7070", "grpc_management_port": "7071"}
_METRICS_URL = "http://127.0.0.1:8082"
_JOB_QUEUE_SIZE = "100"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """A server's configuration, with TorchServe's defaults for missing entries.

    Args:
        path: path of the file. The server runs in its folder and keeps its key file and logs there.
        inference_url: address of the inference API.
        management_url: address of the management API.
        ports: all ports that the server listens on.
        model_store: folder of the archives.
        load_models: archives loaded at the start.
        job_queue_size: requests that may wait for a model; the server answers further ones with 503.
    """

    path: Path
    inference_url: str
    management_url: str
    ports: tuple[int, ...]
    model_store: Path
    load_models: tuple[str, ...]
    job_queue_size: int

    @property
    def folder(self) -> Path:
        """The server's working folder."""
        return self.path.parent

    @property
    def key_file(self) -> Path:
        """The file that the server writes its tokens to."""
        return self.folder / KEY_FILE

    def tokens(self, key_file: Path | None = None) -> Tokens:
        """The server's tokens, from its own key file or the given one."""
        return Tokens(key_file or self.key_file, management_url=self.management_url)


def read_config(path: Path = CONFIG) -> ServerConfig:
    """Read a configuration file.

    Raises:
        ClientError: the file cannot be read.
    """
    path = path.absolute()
    try:
        values = _properties(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(
            f"{path} cannot be read; run in the project's root, or name the file with --config"
        ) from error
    inference, management, metrics = (
        values.get(f"{name}_address", default).rstrip("/")
        for name, default in (("inference", INFERENCE_URL), ("management", MANAGEMENT_URL), ("metrics", _METRICS_URL))
    )
    grpc = [values.get(name, default) for name, default in _GRPC_PORTS.items()]
    return ServerConfig(
        path=path,
        inference_url=inference,
        management_url=management,
        ports=(*(urlsplit(url).port or 80 for url in (inference, management, metrics)), *map(int, grpc)),
        model_store=path.parent / values.get("model_store", "model_store"),
        load_models=tuple(name.strip() for name in values.get("load_models", "").split(",") if name.strip()),
        job_queue_size=int(values.get("job_queue_size", _JOB_QUEUE_SIZE)),
    )


def _properties(text: str) -> dict[str, str]:
    """Parse as TorchServe's start script does: one entry a line, ``#`` starts a comment."""
    pairs = (line.split("=", 1) for line in map(str.strip, text.splitlines()) if not line.startswith("#"))
    return {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}
