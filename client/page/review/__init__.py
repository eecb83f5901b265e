"""The review of a scored catalogue: its queue, the decisions, and the file of corrections that keeps them."""
