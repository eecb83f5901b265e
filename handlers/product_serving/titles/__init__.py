"""Titles before they become numbers."""
