"""The server measured beside its peers: ``python -m benchmarks.server --help``."""
