"""Engines compute the model's graph; this package holds them and the choice among them."""
