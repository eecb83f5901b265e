"""A trained run measured on any labelled catalogue: products it has not seen, read as it is served."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from handlers.preprocessing import ProductPreprocessor
from training.catalog import Catalog, CatalogError, CatalogSource, read_catalog
from training.checkpoint import load_model, read_run
from training.dataset import ProductDataset
from training.device import Device, choose_device
from training.extraction import extract_features
from training.features import FeatureBatches
from training.loop import predict
from training.metrics import summarize


def evaluate_run(run: Path, source: CatalogSource, *, max_rejected: float = 0.05) -> dict[str, Any]:
    """Metrics of every model of a run on a catalogue.

    Products whose label the run has never seen cannot be answered right; they are counted and left out of the metrics.

    Args:
        run: the run folder, complete.
        source: the catalogue.
        max_rejected: share of bad rows above which the catalogue is refused.

    Returns:
        ``{"run", "catalogue", "products", "unknown_labels": {label: count}, "models": {name: metrics}}``.

    Raises:
        CatalogError: the catalogue cannot be used, or shares no label with the run.
        RunError: the run is not complete.
    """
    record = read_run(run)
    catalog = read_catalog(source, max_rejected=max_rejected)
    known = catalog.products["label"].isin(record["labels"])
    products = catalog.products[known].reset_index(drop=True)
    if products.empty:
        raise CatalogError(f"no product of {source.path} has a label the run knows: {record['labels'][:10]} ...")
    device = choose_device(record["arguments"]["precision"])
    with tempfile.TemporaryDirectory() as cache:  # the fusions share the towers' features
        models = {name: _evaluate(run / name, catalog, products, device, Path(cache)) for name in record["models"]}
    return {
        "run": run.name,
        "catalogue": Path(source.path).name,
        "products": len(products),
        "unknown_labels": catalog.products.loc[~known, "label"].value_counts().to_dict(),
        "models": models,
    }


def _evaluate(folder: Path, catalog: Catalog, products: pd.DataFrame, device: Device, cache: Path) -> dict[str, Any]:
    model, settings = load_model(folder)
    position = {label: number for number, label in enumerate(settings.labels)}
    dataset = ProductDataset(
        catalog,
        products,
        targets=np.array([position[label] for label in products["label"]], dtype=np.int64),
        preprocessor=ProductPreprocessor(settings, folder / "tokenizer.json"),
    )
    features = extract_features(
        cache, dataset, image_encoder=model.image_encoder, text_encoder=model.text_encoder, device=device
    )
    logits, truth = predict(model.head, FeatureBatches(features, np.arange(len(products))), device=device)
    return summarize(softmax(logits / settings.temperature, axis=1), truth, settings.labels)
