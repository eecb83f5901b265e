"""A web page that asks a running server about products: ``python -m client page``, or ``make ui``."""
