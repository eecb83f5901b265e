"""Measurements: `make bench` compares the server with its peers; the scoring has two of its own."""
