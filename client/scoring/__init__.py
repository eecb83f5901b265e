"""Classifies whole catalogues: ``python -m client score CATALOG --out FOLDER``; see :mod:`client.scoring.run`."""
