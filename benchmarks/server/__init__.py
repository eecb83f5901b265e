"""Comparison of our server with other servers: ``python -m benchmarks.server --help``."""
