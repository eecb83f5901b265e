"""Features: the outputs of the encoders, computed once, kept in files, and read as batches."""
