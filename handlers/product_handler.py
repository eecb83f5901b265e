"""TorchServe's entry point, at the root of every archive; what it does is in :mod:`product_serving.service`.

TorchServe imports this file by its name, without a package, and takes the one class that it defines.
"""

import sys
from pathlib import Path

if __package__:
    from .product_serving.service import ProductService
else:
    # A bare start puts the caller's PYTHONPATH before the model's folder.
    sys.path.insert(0, str(Path(__file__).parent))
    from product_serving.service import ProductService


class ProductHandler(ProductService):
    """Classify products by picture and title, in batches."""
