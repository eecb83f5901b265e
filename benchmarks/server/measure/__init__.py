"""The measurements, in rounds."""
