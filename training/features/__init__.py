"""Encoders' outputs, computed once, kept in files, and read back as batches."""
