"""Numbers about answers: metrics, calibration, the TF-IDF baseline, labels that are probably wrong."""
