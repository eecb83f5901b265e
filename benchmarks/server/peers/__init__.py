"""Other servers that run the archive's handler, each set up as its documentation shows.

A module serves ``PRODUCT_ARCHIVE`` on loopback at ``PRODUCT_PORT``, in batches of at most ``PRODUCT_CAP``, in
``PRODUCT_WORKERS`` worker processes that share the cores. It runs as ``python -m benchmarks.server.peers.NAME`` in the
environment that ``make bench`` builds. Triton has its own environment.
"""
