"""One product: asking about it, its pictures, and how the same is asked over the API."""
