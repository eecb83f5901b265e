"""The archive's handler behind other servers, each in the way that its documentation shows.

A module serves ``PRODUCT_ARCHIVE`` on loopback at ``PRODUCT_PORT``, in batches of at most ``PRODUCT_CAP``, in
``PRODUCT_WORKERS`` processes that compute and share the cores. It runs as ``python -m benchmarks.server.peers.NAME``
in the environment that ``make bench`` builds; Triton has one of its own beside it.
"""
