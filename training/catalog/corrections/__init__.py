"""Corrected labels: a CSV, or a workbook, that an audit's sheet, the page or a person has written."""
