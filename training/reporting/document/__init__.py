"""The report as a document: blocks, and the writers that render them as HTML or Markdown."""
