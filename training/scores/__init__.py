"""Metrics, calibration, the TF-IDF baseline, and the search for label errors."""
