"""A run's document with round numbers, as :func:`benchmarks.server.report.document.document` makes it."""

from typing import Any

from benchmarks.server.systems.names import CASCADE, NOOP, OURS, PEER_CASCADE, STOCK

PEER, SLOW_PEER = "mosec", "FastAPI + uvicorn"


def system(rate: float, **more: Any) -> dict[str, Any]:
    """A system's entry of one round."""
    return {
        "start_seconds": 8.0,
        "rates": {"both": rate, "photo": 0.75 * rate, "text": 3 * rate},
        "statuses": {"200": 100},
        "p50_ms": 300.0,
        "p99_ms": 400.0,
        "generator_share": 0.05,
        "cpu_ms": {"all": 9.0, "load generator": 0.2},
        "worker_bytes": 200 * 2**20,
        "worker_resident_bytes": 180 * 2**20,
        "worker_private_bytes": 100 * 2**20,
        "all_bytes": 500 * 2**20,
        "processes": 2,
        **more,
    }


def ours(rate: float) -> dict[str, Any]:
    """Our entry of one round: every target of it is met."""
    loops = [
        {
            "load": load,
            "offered": load * rate,
            "statuses": {"200": 500, "503": 2} if load == 0.9 else {"200": 500},
            "p50_ms": 20.0,
            "p99_ms": 60.0,
            "late_ms": 1.0,
            "perfect_p50_ms": 18.0,
            "perfect_p99_ms": 50.0,
        }
        for load in (0.3, 0.5, 0.7, 0.9)
    ]
    overload = {
        "offered": 1.5 * rate,
        "goodput": 0.95 * rate,
        "statuses": {"200": 950, "503": 550},
        "refused_p50_ms": 2.0,
        "refused_p99_ms": 9.0,
        "generator_share": 0.06,
    }
    return system(
        rate,
        cpu_ms={"front end": 0.5, "worker": 8.25, "load generator": 0.2},
        unloaded_p50_ms=14.0,
        open=loops,
        overload=overload,
        stages={"batches": 10.0, "read": 5.0, "decode": 80.0, "tokenise": 2.0, "infer": 700.0, "respond": 3.0},
    )


def in_process() -> dict[str, Any]:
    """The entry of one round without a server."""
    return {
        "engine": "openvino",
        "reason": "no GPU; 2.0 times as fast here",
        "cap": 16,
        "rates": {"both": 200.0, "text": 500.0},
        "batch_ms": {"1": 10.0, "16": 80.0},
        "engine_rates": {"1": 120.0, "16": 240.0},
        "reference_rate": 40.0,
        "tokens": 11.5,
        "peak_bytes": 200 * 2**20,
    }


def run_document() -> dict[str, Any]:
    """A run of two rounds that meets every target of a CPU."""
    machine = {
        "cpu": "A Processor",
        "cores": 2,
        "flags": ["avx512_bf16"],
        "memory_gib": 23.4,
        "kernel": "6.1",
        "load_average": [0.1, 0.1, 0.1],
        "load_average_after": [2.0, 2.0, 2.0],
        "python": "3.11.7",
        "packages": {"torch": "2.14.1"},
        "peers": {"mosec": "0.9.8"},
        "commit": "abcdef012345",
    }
    return {
        "when": "2026-11-23T15:00:00+00:00",
        "minutes": 30.0,
        "plan": "full",
        "rounds": 2,
        "machine": machine,
        "model": "a shape",
        "catalogue": "drawn catalogue",
        "workers": 2,
        "cap": 16,
        "delay_ms": 2,
        "weights_bytes": 100 * 2**20,
        "archive_bytes": 105 * 2**20,
        "archive_ratio": 1.05,
        "stock_setting": (16, 20),
        "stock_rates": {"16 / 20 ms": 19.0},
        "missing": {},
        "in_process": [in_process(), in_process()],
        "systems": {
            OURS: [ours(190.0), ours(188.0)],
            CASCADE: [system(800.0), system(810.0)],
            PEER_CASCADE: [system(790.0), system(795.0)],
            PEER: [system(170.0), system(172.0)],
            SLOW_PEER: [system(140.0), system(141.0)],
            STOCK: [system(19.0), system(18.0)],
            NOOP: [system(1400.0), system(1390.0)],
        },
    }
