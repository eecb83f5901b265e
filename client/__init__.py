"""What talks to a running server: ``python -m client --help``; in Python :mod:`client.api`."""
