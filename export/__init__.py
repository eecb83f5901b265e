"""Build verified archives from a trained run."""

import handlers.product_serving  # noqa: F401 - sets what ONNX Runtime must find when it is imported
