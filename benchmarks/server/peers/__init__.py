"""Other servers that run the archive's handler, each set up as its documentation shows.

FastAPI, LitServe, mosec and Ray Serve are ``deploy/examples/``, around the archive as a Python package
(``python -m export --target python``). BentoML and Triton are modules of this folder, which serve ``PRODUCT_ARCHIVE``.
All listen on loopback at ``PRODUCT_PORT``, make batches of at most ``PRODUCT_BATCH``, and have ``PRODUCT_WORKERS``
worker processes that share the cores. They run in the environment that ``make bench`` builds; Triton has its own.
"""
