"""Clients of a running server: ``python -m client --help`` on the command line, :mod:`client.api` in Python."""
