"""The subcommands of ``python -m client``, one module each with its options and its code."""
