"""The processor time that the pod's nginx takes for a request: ``python tests/deploy/proxy_cost.py``."""

import base64
import concurrent.futures
import itertools
import json
import os
import sys
import tempfile
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from pod_proxy import PodProxy, running_pod_proxy

CALLERS, REQUESTS = 8, 4000
# As the benchmark's requests: a title, and a title with a 224-pixel JPEG in base64.
PICTURE = base64.b64encode(os.urandom(9_000)).decode()
BODIES = {"title": {"text": "Running Shoe"}, "picture and title": {"text": "Running Shoe", "image": PICTURE}}
ROUTE = "/predictions/intermediate"


def main() -> None:
    """Print a line for each kind of request."""
    with tempfile.TemporaryDirectory() as folder, running_pod_proxy(Path(folder)) as proxy:
        for name, document in BODIES.items():
            body = json.dumps(document).encode()
            before = processor_seconds(proxy)
            with concurrent.futures.ThreadPoolExecutor(CALLERS) as threads:
                sent = sum(threads.map(ask, itertools.repeat(proxy, CALLERS), itertools.repeat(body)))
            spent = (processor_seconds(proxy) - before) / sent * 1e3
            print(f"{name}, {len(body):,} bytes: {spent:.3f} ms of processor time a request ({sent:,} requests)")


def ask(proxy: PodProxy, body: bytes) -> int:
    """Send requests one after the other over a kept connection; how many."""
    with proxy.client() as client:
        answers = [client.post(ROUTE, content=body).raise_for_status() for _ in range(REQUESTS // CALLERS)]
    return len(answers)


def processor_seconds(proxy: PodProxy) -> float:
    """Of nginx and its workers so far."""
    master = psutil.Process(proxy.process.pid)
    return sum(sum(each.cpu_times()[:2]) for each in (master, *master.children()))


if __name__ == "__main__":
    main()
