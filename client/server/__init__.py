"""A TorchServe on this machine: its configuration, its start and stop, its logs, and whether it is ready."""
