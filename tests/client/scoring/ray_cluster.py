"""Runs on a Ray cluster of two machines with a core each, which loses one: ``ray_cluster.py CATALOGUE ARCHIVE OUT``.

It prints the results as JSON. Ray leaves processes and files to the end of its own, so a test needs a process for it.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster
from stub_engine import run

from client.api.errors import ClientError
from client.scoring.ray_data import RayEngine

CHUNK_ROWS = 4  # as in test_ray_cluster.py
CHECKS = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 3}
MACHINE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80_000_000}


def main() -> None:
    """Begin what the cluster has no room for, then a run that loses a machine at a quarter of its chunks."""
    catalogue, archive, out = map(Path, sys.argv[1:])
    cluster = Cluster(
        initialize_head=True, head_node_args={**MACHINE, "include_dashboard": False, "_system_config": CHECKS}
    )
    machine = cluster.add_node(**MACHINE)
    results: dict[str, Any] = {}
    for name, wanted in (("large", {"actors": 1, "cpus": 3}), ("many", {"actors": 5, "cpus": 1})):
        began = time.monotonic()
        try:
            run(catalogue, out / name, RayEngine(archive, address=cluster.address, **wanted))
        except ClientError as error:
            results[name] = {"said": str(error), "seconds": time.monotonic() - began}
    losing = threading.Thread(target=lose, args=(cluster, machine, out / "lost" / "parts", results), daemon=True)
    losing.start()
    engine = RayEngine(archive, actors=2, cpus=1, address=cluster.address)
    results["summary"] = run(catalogue, out / "lost", engine, chunk_rows=CHUNK_ROWS)
    losing.join(timeout=60)
    cluster.shutdown()
    print(json.dumps(results))


def lose(cluster: Cluster, machine: Any, parts: Path, results: dict[str, Any]) -> None:
    """Kill a machine when a quarter of the chunks is answered."""
    while not (chunks := len(list(parts.glob("rows-*")))) or len(list(parts.glob("part-*"))) < chunks / 4:
        time.sleep(0.02)
    results["answered"], results["chunks"] = len(list(parts.glob("part-*"))), chunks
    cluster.remove_node(machine, allow_graceful=False)


if __name__ == "__main__":
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    main()
