"""The load: request bodies, the generator that sends them, and the perfect queue to compare with."""
