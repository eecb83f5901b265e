"""One TorchServe over HTTP: the inference and the management API, their tokens, answers and errors."""
