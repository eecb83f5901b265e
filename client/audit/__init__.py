"""Finds labels that may be wrong by a model's answers: ``python -m client audit CATALOG --labels COLUMN``."""
