"""The load: request bodies, the generator that sends them, and a simulated perfect queue."""
