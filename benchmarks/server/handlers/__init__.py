"""Handlers to compare with: what TorchServe's examples do, and one that does nothing."""
