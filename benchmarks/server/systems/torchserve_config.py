"""The configuration of a second TorchServe: ours, with free ports and another model store, in its own folder."""

import re
import socket
from contextlib import ExitStack
from pathlib import Path

from client.server.config import ServerConfig, read_config

ROOT = Path(__file__).parents[3]


def write_config(folder: Path, *, store: Path, load_models: str = "intermediate.mar") -> ServerConfig:
    """Write our ``config.properties`` into another folder, with free ports, another store and other archives.

    Args:
        folder: working folder of the server.
        store: the model store.
        load_models: archives to load at the start, "" for none.

    Raises:
        ValueError: ``config.properties`` does not set a value that has to be replaced, or sets it twice.
    """
    ports = free_ports(5)
    values = {
        "inference_address": f"http://127.0.0.1:{ports[0]}",
        "management_address": f"http://127.0.0.1:{ports[1]}",
        "metrics_address": f"http://127.0.0.1:{ports[2]}",
        "model_store": str(store),
        "load_models": load_models,
    }
    text = (ROOT / "config.properties").read_text(encoding="utf-8")
    for name, value in values.items():
        text, count = re.subn(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        if count != 1:
            raise ValueError(f"config.properties must set {name} once, but sets it {count} times")
    text = text.replace("=deploy/", f"={ROOT / 'deploy'}/")
    path = folder / "config.properties"
    path.write_text(f"{text}grpc_inference_port={ports[3]}\ngrpc_management_port={ports[4]}\n", encoding="utf-8")
    return read_config(path)


def free_ports(count: int) -> list[int]:
    """Find distinct free ports."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
