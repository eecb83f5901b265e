"""The names of the systems, as reports show them."""

OURS, STOCK, NOOP = "ours", "stock handler", "no-op handler"
FASTAPI, LITSERVE, MOSEC, BENTOML, RAY = "FastAPI + uvicorn", "LitServe", "mosec", "BentoML", "Ray Serve"
TRITON = "Triton"
CASCADE, PEER_CASCADE = "ours, cascade", "FastAPI + uvicorn, cascade"
"""The same systems around an archive with a cascade; the gain is the model's, not the server's."""
SYSTEMS = (OURS, CASCADE, PEER_CASCADE, FASTAPI, LITSERVE, MOSEC, BENTOML, RAY, TRITON, STOCK, NOOP)
IN_PROCESS = "in process"
"""Our handler without a server: the reference for all systems."""
GENERATOR = "load generator"
"""Not a system, but reports show its processor time too."""
