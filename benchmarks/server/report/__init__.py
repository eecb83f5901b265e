"""The report of a run: JSON, Markdown and a chart."""
