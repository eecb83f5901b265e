"""Build verified archives from a trained run."""
