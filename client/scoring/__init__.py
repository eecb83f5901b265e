"""Whole catalogues: ``python -m client score CATALOG --out FOLDER``, :func:`client.scoring.run.score_catalog`."""
