"""The systems that are compared: each can be started, asked and stopped."""
