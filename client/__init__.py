"""What talks to a running server: ``python -m client --help``, :mod:`client.inference`, :mod:`client.management`."""
