"""The sections of the report, one subject a file."""
