"""What is compared: each system can be started, asked and stopped."""
