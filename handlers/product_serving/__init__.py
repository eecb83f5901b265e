"""The code that answers requests. Every archive carries this package, so its imports are relative."""
