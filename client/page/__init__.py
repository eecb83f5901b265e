"""A page to look at products with, in front of a running server: ``python -m client page``, or ``make ui``."""
