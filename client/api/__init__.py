"""TorchServe over HTTP: clients of the inference and management APIs, tokens, answers and errors."""
