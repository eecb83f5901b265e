"""Figures of the report, drawn with matplotlib."""
