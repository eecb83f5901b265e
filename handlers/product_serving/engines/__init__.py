"""Engines: what computes the graph, and the choice among them."""
