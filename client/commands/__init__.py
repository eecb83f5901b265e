"""The subcommands of ``python -m client``: the options of each stand beside what it does."""
