"""The model that every system serves: its archive, and the archives of the stock and the no-op handler.

The model comes from a trained run, or it is an untrained architecture. Its speed does not depend on training.
"""

import dataclasses
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from torch import nn
from transformers import BertConfig, BertModel

from benchmarks.server.load.bodies import Sample
from benchmarks.server.systems.torchserve_config import ROOT
from export.accuracy_gate import add_int8, fast_engines
from export.archive import WORKER_CONFIG, pack, stage, worker_config
from export.build import build_archive, cascade_products, export_graphs
from export.golden import CANDIDATES, select_golden_products
from export.run_products import read_run_products
from export.verify import eager_forward
from handlers.product_serving.engines.table import LoadOptions
from handlers.product_serving.preprocessing import ProductPreprocessor
from handlers.product_serving.settings import Attribute, ProductSettings
from training.models import ProductClassifier, build_head
from training.models.encoders import TextEncoder, build_image_encoder, build_text_encoder, tokenizer_json
from training.run.checkpoint import load_model

MODEL = "intermediate"
VERSION = "1.0"
CLASSES = 142  # as in articleType of the fashion catalogue
CERTAIN = 8.0  # bias of the first class: rounding cannot change the label of a golden product
TESTED = 200
CALIBRATED = 64
HANDLERS = ROOT / "benchmarks" / "server" / "handlers"


class Shape(NamedTuple):
    """An architecture.

    Args:
        description: description of its encoders.
        image: name of the image encoder.
        image_weights: ``imagenet`` or ``none``.
        text: name of the text encoder; None for a BERT-base with random weights.
    """

    description: str
    image: str
    image_weights: str
    text: str | None


SHAPES = {
    "minilm": Shape("EfficientNet-Lite0 and MiniLM, untrained head", "efficientnet_lite0", "imagenet", "minilm"),
    "resnet-minilm": Shape("ResNet-18 with random weights and MiniLM, untrained head", "resnet18", "none", "minilm"),
    "bert": Shape("ResNet-18 and bert-base-uncased's shape, random weights", "resnet18", "none", None),
}


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """The model that every system serves.

    Args:
        description: description of the model.
        archive: archive with our handler.
        noop: archive with the no-op handler.
        stock: settings of the stock handler.
        weights_bytes: size of the weights in fp32.
        workers: number of worker processes.
        cascade: archive of the same model with a cascade; None without one.
        cap: most requests of a batch (``batchSize``).
        delay_ms: ``maxBatchDelay`` in milliseconds.
    """

    description: str
    archive: Path
    noop: Path
    stock: dict[str, Any]
    weights_bytes: int
    workers: int
    cascade: Path | None = None
    cap: int = WORKER_CONFIG["batchSize"]
    delay_ms: int = WORKER_CONFIG["maxBatchDelay"]

    def stock_archive(self, batch: int, delay_ms: int) -> Path:
        """Write an archive of the stock handler with a batch size and a delay."""
        own = {"batchSize": batch, "maxBatchDelay": delay_ms, "handler": self.stock}
        config = {**worker_config(self.workers), **own}
        return write_plain_archive(self.archive.parent / f"stock-{batch}-{delay_ms}.mar", "stock_handler", config)


def archive_shape(name: str, folder: Path, samples: list[Sample], *, workers: int) -> ServedModel:
    """Build the archives of an untrained architecture.

    Args:
        name: a key of :data:`SHAPES`.
        folder: output folder for the archives.
        samples: products for calibration and for the golden products.
        workers: number of worker processes.
    """
    shape = SHAPES[name]
    torch.manual_seed(0)
    labels = tuple(f"class {number}" for number in range(CLASSES))
    settings = ProductSettings(model=MODEL, attributes=(Attribute(name="articleType", labels=labels),))
    model = _classifier(shape)
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer_json("minilm"), encoding="utf-8")
    with tempfile.TemporaryDirectory() as temporary:
        stage_folder = Path(temporary)
        export_graphs(model, stage_folder, settings)
        preprocessor = ProductPreprocessor(settings, tokenizer)
        pairs = [(sample.image, sample.text) for sample in samples]
        add_int8(stage_folder, [preprocessor(*pair) for pair in pairs[:CALIBRATED]])
        pairs = pairs[: 2 * CANDIDATES]
        truth = [""] * len(pairs)  # the model is untrained
        golden = select_golden_products(
            pairs, eager_forward(model), truth=truth, preprocessor=preprocessor, settings=settings
        )
        # The gate compares accuracies, which mean nothing for an untrained model. The export measures a trained one.
        options = LoadOptions(stage_folder, settings, threads=torch.get_num_threads())
        fast = {engine: {"passed": True} for engine in fast_engines(options)}
        attributes = {settings.target: labels}
        manifest = {"model": MODEL, "version": VERSION, "attributes": attributes, "golden": golden, "fast": fast}
        stage(stage_folder, run_model=folder, settings=settings, manifest=manifest, workers=workers)
        archive = pack(stage_folder, model=MODEL, version=VERSION, store=folder)
    return _served_model(f"{shape.description}, {CLASSES} classes", model, settings, archive, workers=workers)


def archive_run(run: Path, model_name: str, folder: Path, *, workers: int, cascade: bool = False) -> ServedModel:
    """Build and verify the archive of a trained model, as for production, and one with a cascade if ``cascade``.

    Args:
        run: folder of ``python -m training train``.
        model_name: a model of the run that reads both modalities.
        folder: output folder for the archives.
        workers: number of worker processes.

    Raises:
        RunError: the run has no such model.
    """
    test = read_run_products(run, limit=TESTED)
    built = build_archive(run, model_name, version=VERSION, store=folder, test=test, workers=workers)
    quick = None
    if cascade:
        products, store = cascade_products(run), folder / "cascade"
        quick = build_archive(
            run, model_name, version=VERSION, store=store, test=test, workers=workers, cascade=products
        ).archive
    model, settings = load_model(run / model_name)
    shutil.copy(run / model_name / "tokenizer.json", folder)
    description = f"{model_name} of a trained run, {len(settings.labels)} classes"
    served = _served_model(description, model, settings, built.archive, workers=workers)
    return dataclasses.replace(served, cascade=quick)


def write_plain_archive(path: Path, handler: str, config: dict[str, Any]) -> Path:
    """Write an archive with a single handler file, in the archiver's layout.

    Args:
        path: archive to write.
        handler: name of a module in :data:`HANDLERS`.
        config: content of ``model-config.yaml``.
    """
    entry = {"modelName": path.stem, "modelVersion": VERSION, "handler": f"{handler}.py", "configFile": "config.yaml"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"runtime": "python", "model": entry}))
        archive.writestr("config.yaml", yaml.safe_dump(config))
        archive.write(HANDLERS / f"{handler}.py", f"{handler}.py")
    return path


def _classifier(shape: Shape) -> ProductClassifier:
    image = build_image_encoder(shape.image, shape.image_weights)
    if shape.text is None:
        text = TextEncoder(BertModel(BertConfig(), add_pooling_layer=False))
    else:
        text = build_text_encoder(shape.text)
    head = build_head(MODEL, image_width=image.width, text_width=text.width, sizes=[CLASSES])
    last = [module for module in head.modules() if isinstance(module, nn.Linear) and module.out_features == CLASSES][-1]
    with torch.no_grad():
        last.bias[0] = CERTAIN
    return ProductClassifier(image, text, head).eval()


def _served_model(
    description: str, model: ProductClassifier, settings: ProductSettings, archive: Path, *, workers: int
) -> ServedModel:
    """Pack the other handlers' archives beside ours and the model's ``tokenizer.json``."""
    store = archive.parent
    torch.save(model, store / "eager.pkl")
    stock = {
        "repository": str(ROOT),
        "model": str(store / "eager.pkl"),
        "tokenizer": str(store / "tokenizer.json"),
        "labels": list(settings.labels),
        "max_tokens": settings.max_tokens,
        "image_size": settings.image_size,
    }
    noop = write_plain_archive(store / "noop.mar", "noop_handler", worker_config(workers))
    weights = sum(tensor.numel() * 4 for tensor in model.state_dict().values() if tensor.is_floating_point())
    return ServedModel(description, archive, noop, stock, weights, workers)
