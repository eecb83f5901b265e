"""TorchServe as a system to measure: with our handler, the stock handler or the no-op handler.

The times of our handler's stages come from its counters at TorchServe's metrics address.
"""

import contextlib
import dataclasses
import re
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from benchmarks.server.load.bodies import Body
from benchmarks.server.systems.system import START_TIMEOUT, Running, first_answer
from benchmarks.server.systems.torchserve_config import write_config
from client.api.management import Management
from client.archives.model_store import identify_archive
from client.server import local_server
from client.server.processes import server_processes

_LINE = re.compile(r"^(product_stage_milliseconds_sum|product_batch_size_bucket)\{(.*)\} ([0-9.eE+-]+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
REPORTED = 1.5
"""Seconds to wait until the handler has reported its counts; it reports once a second."""


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
        """Start it, wait until it has answered ``probe``, and stop it on exit.

        Raises:
            NotServing: it does not start.
        """
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
                        processes=lambda: {
                            process: "front end" if is_front_end else "worker"
                            for process, is_front_end in server_processes(local.temporary).items()
                        },
                        metrics_url=f"http://127.0.0.1:{config.ports[2]}/metrics",
                    )
                finally:
                    local_server.stop(config)


def stage_milliseconds(metrics_url: str | None) -> dict[str, float]:
    """Read the milliseconds of each stage since the start, and the number of ``batches``; empty without an address."""
    if metrics_url is None:
        return {}
    time.sleep(REPORTED)
    with urllib.request.urlopen(metrics_url, timeout=10) as answer:
        return parse_stages(answer.read().decode("utf-8"))


def parse_stages(text: str) -> dict[str, float]:
    """Parse the metrics text of Prometheus for :func:`stage_milliseconds`."""
    found = defaultdict[str, float](float)
    for name, labels, value in _LINE.findall(text):
        values = dict(_LABEL.findall(labels))
        if name == "product_stage_milliseconds_sum":
            found[values["stage"]] += float(value)
        elif values["le"] == "+Inf":
            found["batches"] += float(value)
    return found
