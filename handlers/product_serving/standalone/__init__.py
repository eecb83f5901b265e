"""An archive's model in any process, without TorchServe: Triton's Python backend, FastAPI, a notebook, a job."""
