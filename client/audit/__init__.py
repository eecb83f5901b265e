"""Labels that may be wrong, found by the answers of a model: ``python -m client audit CATALOG --labels COLUMN``."""
