"""NVIDIA Triton from the PyTriton wheel: a front end in C++ with a dynamic batcher, and this process, which computes in
one thread for each worker.

The wheel has its own environment: Triton's Python backend, which passes the requests on, is compiled against NumPy 1
and must not find another one. Only this process has the handler's packages on its path.
"""

import os
from typing import Any

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from benchmarks.server.peers.archive_handler import DELAY_MS, HOST, ArchiveHandler, settings


def _instance(handler: ArchiveHandler) -> Any:
    @batch  # type: ignore[untyped-decorator]
    def predict(body: Any) -> dict[str, Any]:
        answers = [answer.encode("ascii") for answer in handler([bytes(each) for each in body[:, 0]])]
        return {"answer": np.array(answers, dtype=object)[:, None]}

    return predict


def main() -> None:
    """Serve until the process ends."""
    archive, port, cap, workers = settings()
    instances = [_instance(ArchiveHandler(archive, workers=workers)) for _ in range(workers)]
    del os.environ["PYTHONPATH"]
    grpc_port = int(os.environ["PRODUCT_SECOND_PORT"])
    config = TritonConfig(
        http_address=HOST, http_port=port, grpc_address=HOST, grpc_port=grpc_port, allow_metrics=False
    )
    with Triton(config=config) as triton:
        triton.bind(
            "product",
            infer_func=instances,
            inputs=[Tensor(name="body", dtype=bytes, shape=(1,))],
            outputs=[Tensor(name="answer", dtype=bytes, shape=(1,))],
            config=ModelConfig(
                max_batch_size=cap, batcher=DynamicBatcher(max_queue_delay_microseconds=1000 * DELAY_MS)
            ),
        )
        triton.serve()


if __name__ == "__main__":
    main()
