"""The systems to compare: how each is started, asked and stopped."""
