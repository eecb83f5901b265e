"""Finished runs as the report reads them: names, numbers, intervals."""
