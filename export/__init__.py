"""From a trained run to verified archives."""
