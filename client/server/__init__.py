"""TorchServe on this machine: configuration, start and stop, logs, readiness."""
