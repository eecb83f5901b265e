"""The names of the systems that are compared, as a report shows them."""

OURS, STOCK, NOOP = "ours", "stock handler", "no-op handler"
FASTAPI, LITSERVE, MOSEC, BENTOML, RAY = "FastAPI + uvicorn", "LitServe", "mosec", "BentoML", "Ray Serve"
TRITON = "Triton"
SYSTEMS = (OURS, FASTAPI, LITSERVE, MOSEC, BENTOML, RAY, TRITON, STOCK, NOOP)
IN_PROCESS = "in process"
"""No system, but what all are measured by: our handler without a server."""
GENERATOR = "load generator"
"""No system either; its processor time is reported beside theirs."""
