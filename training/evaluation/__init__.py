"""Measure a complete run on a labelled catalogue, with or without damaged products."""
