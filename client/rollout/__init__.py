"""Versions of a model at a running server: registered, compared, made the default, retired."""
