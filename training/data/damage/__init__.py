"""Damage to titles, as by people, importers and scrapers. Training learns from some kinds; evaluation measures all.

Most functions take a title and a random generator and return a title.
"""
