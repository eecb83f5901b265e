"""Handlers for comparison: one like TorchServe's examples, and one that does nothing."""
