"""Compares the answers of a model with those to its validation part: ``python -m client drift --reference RUN``."""
