"""TorchServe as a system to measure: with our handler, the stock handler or the no-op handler."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.server.load.bodies import Body
from benchmarks.server.systems.system import START_TIMEOUT, Running, first_answer
from benchmarks.server.systems.torchserve_config import write_config
from client.api.management import Management
from client.archives.model_store import identify_archive
from client.server import local_server
from client.server.processes import server_processes


@dataclasses.dataclass(frozen=True)
class TorchServe:
    """TorchServe with our configuration and one archive.

    Args:
        name: name of the system.
        archive: archive in a model store.
        golden: true for our archive, which the server loads at its start; others are registered once it runs.
    """

    name: str
    archive: Path
    golden: bool = False

    @contextlib.contextmanager
    def running(self, probe: Body) -> Iterator[Running]:
        """See :class:`System`."""
        model = identify_archive(self.archive).model
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            config = write_config(
                Path(folder), store=self.archive.parent, load_models=self.archive.name if self.golden else ""
            )
            url = f"{config.inference_url}/predictions/{model}"
            with first_answer(url, probe, lambda: config.tokens().headers("inference")) as answered:
                local = local_server.start(config, timeout=START_TIMEOUT, log=lambda _: None)
                try:
                    if not self.golden:
                        with Management(config.management_url, tokens=config.tokens()) as management:
                            management.register(self.archive.name)
                    seconds = answered()
                    yield Running(
                        url=url,
                        headers=config.tokens().headers("inference"),
                        start_seconds=seconds,
                        processes=lambda: _roles(local.temporary),
                        metrics_url=f"http://127.0.0.1:{config.ports[2]}/metrics",
                    )
                finally:
                    local_server.stop(config)


def _roles(temporary: Path) -> dict[int, str]:
    return {
        process: "front end" if is_front_end else "worker"
        for process, is_front_end in server_processes(temporary).items()
    }
