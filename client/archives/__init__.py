"""Reads the archives of a model store: their versions, and their golden products with the expected answers."""
