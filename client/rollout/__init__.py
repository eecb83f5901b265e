"""Changes the versions of a model on a running server: register, compare, switch, retire."""
