"""The order of a run: towers, cross-fitting, fusions, results."""
