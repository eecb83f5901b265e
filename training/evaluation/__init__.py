"""A finished run measured on any labelled catalogue, whole or damaged on purpose."""
