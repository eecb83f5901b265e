"""The report as a document: blocks, rendered as HTML or Markdown."""
