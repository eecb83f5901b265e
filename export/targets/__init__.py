"""A verified archive in other forms: a model repository of Triton, a Python package."""
