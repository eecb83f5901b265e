"""TorchServe's entry point, at the root of every archive; :mod:`product_serving.service` does the work.

TorchServe imports this file by name, outside any package, and uses the one class that the file defines.
"""

import sys
from pathlib import Path

if __package__:
    from .product_serving.service import ProductService
else:
    # A bare start keeps the caller's PYTHONPATH; the model's folder has to come before it.
    sys.path.insert(0, str(Path(__file__).parent))
    from product_serving.service import ProductService


class ProductHandler(ProductService):
    """Classify products by picture and title, in batches."""
