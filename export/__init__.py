"""Build verified archives from a trained run."""

import os

from handlers.product_serving.engines.onnx import NO_TELEMETRY

os.environ.setdefault(*NO_TELEMETRY)
