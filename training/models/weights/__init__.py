"""Weights that were trained elsewhere: read from files, and mapped where that is safe."""
