"""The code that answers requests. Every archive carries this package, so its imports are relative."""

import os

# The wheel of ONNX Runtime sends data on its use to its makers, and writes an identifier into the home folder, unless
# this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
