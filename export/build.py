"""Turn one model of a run into a verified archive in the store."""

import dataclasses
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from export.accuracy_gate import add_int8, fast_engines, gate_figures, passes_gate
from export.archive import WORKERS, pack, stage
from export.golden import CANDIDATES, select_golden_products
from export.inference_form import inference_form
from export.shared_weights import share_weights
from export.to_onnx import export_onnx
from export.torchscript import example_inputs, export_torchscript, whole_torchscript
from export.verify import Forward, Parity, VerificationError, eager_forward, require_parity, verify
from handlers.product_serving.engines.int8 import INT8_GRAPH
from handlers.product_serving.engines.onnx import OnnxGraph, part_files
from handlers.product_serving.engines.table import AUTO, ENGINES, LoadOptions, engine_row
from handlers.product_serving.preprocessing import ProductPreprocessor
from handlers.product_serving.settings import ProductSettings
from training.catalog.files import LIMITS
from training.catalog.pictures.photograph import shrunk
from training.catalog.reading import Catalog, read_catalog
from training.data.attributes import product_targets
from training.data.corrections import reapply_corrections
from training.models import ProductClassifier
from training.run.checkpoint import RunError, load_model
from training.run.record import read_run
from training.system.storage import StorageError, require_room

WHOLE_FILE_PRODUCTS = 100
_USE_AUTO = "leave the choice to --engine auto"


@dataclasses.dataclass(frozen=True)
class Built:
    """A built archive and its verification.

    Args:
        model: registry name.
        archive: path in the store.
        parities: result of the verification for each exact and fast engine, by name.
    """

    model: str
    archive: Path
    parities: dict[str, Parity]


@dataclasses.dataclass(frozen=True)
class RunProducts:
    """Products of one split part of a run, with their catalogue.

    Args:
        catalog: holds the pictures.
        products: rows with ``id, image, text, label``.
    """

    catalog: Catalog
    products: pd.DataFrame

    def pairs(self) -> list[tuple[bytes | None, str | None]]:
        """Return (picture, title) of each product; None for a missing one."""
        return [
            (shrunk(self.catalog.image_bytes(image), LIMITS) if image else None, text or None)
            for image, text in zip(self.products["image"], self.products["text"], strict=True)
        ]


def read_run_products(run: Path, *, limit: int | None, seed: int = 0, part: str = "test") -> RunProducts:
    """Read one split part of a run, or a random sample of it.

    Args:
        run: the run folder.
        limit: the most products; None takes all.
        seed: of the sample.
        part: ``test``, or ``train`` to calibrate on.

    Raises:
        RunError: the catalogue no longer holds the run's products.
    """
    record = read_run(run)
    catalog = read_catalog(record.source, check_images=False, max_rejected=1.0)
    split = pd.read_csv(run / "split.csv", dtype=str, keep_default_na=False)
    ids = split.loc[split["part"] == part, "id"]
    products = catalog.products[catalog.products["id"].isin(ids)]
    products = reapply_corrections(run, products, target=record.main.name)
    if len(products) < len(ids):
        raise RunError(
            f"{record.source.path} holds {len(products)} of the {len(ids)} {part} products of {run}: it has changed"
        )
    if limit is not None and limit < len(products):
        products = _sampled(products, limit, seed=seed)
    return RunProducts(catalog, products.reset_index(drop=True))


def _sampled(products: pd.DataFrame, limit: int, *, seed: int) -> pd.DataFrame:
    """A random sample. Kinds of products that it misses, such as the few with a picture, are put before it."""
    chosen = products.sample(limit, random_state=seed)
    missed = [
        products[kind].head(CANDIDATES) for kind in _kinds(products) if kind.any() and not kind[chosen.index].any()
    ]
    return pd.concat([*missed, chosen]).drop_duplicates("id").head(limit)


def _kinds(products: pd.DataFrame) -> "list[pd.Series[bool]]":
    image, text = products["image"] != "", products["text"] != ""
    return [image & text, image, text]


def build_archive(
    run: Path,
    model_name: str,
    *,
    version: str,
    store: Path,
    test: RunProducts,
    train: RunProducts | None = None,
    engine: str = AUTO,
    workers: int = WORKERS,
    cache_mib: float = 0,
) -> Built:
    """Export one model, verify that the graphs agree with it, and archive it.

    Args:
        run: the run folder, complete.
        model_name: registry name.
        version: of the archive.
        store: the model store.
        test: products to verify on.
        train: products to calibrate int8 on; None leaves int8 out of the archive.
        engine: ``engine`` of :class:`handlers.product_serving.settings.ProductSettings`.
        workers: processes that serve the archive.
        cache_mib: size of each process's cache of answers, in MiB.

    Raises:
        VerificationError: a graph disagrees with the trained model, or ``engine`` is a fast engine that fails the
            accuracy gate; nothing is archived.
        BuildError: the archive does not load on its own.
        RunError: the run lacks the model.
        StorageError: a disk is too full.
    """
    model, settings = load_model(run / model_name)
    _require_products(settings, test)
    _require_room(model_name, model, store)
    settings = dataclasses.replace(settings, engine=engine, cache_mib=cache_mib)
    preprocessor = ProductPreprocessor(settings, run / model_name / "tokenizer.json")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        export_graphs(model, folder, settings)
        if train is not None and engine in (AUTO, "int8"):
            add_int8(folder, [preprocessor(*pair) for pair in train.pairs()])
        eager = eager_forward(model)
        exact, fast = _verified(folder, eager, test, preprocessor=preprocessor, settings=settings)
        _require_forced(engine, fast)
        _drop_unusable_int8(folder, fast.get("int8"))
        golden = select_golden_products(
            test.pairs(),
            eager,
            truth=test.products["label"].tolist(),
            preprocessor=preprocessor,
            settings=settings,
        )
        manifest = _manifest(run, settings, version=version, golden=golden) | {
            "parity": {name: parity.as_dict() for name, parity in exact.items()},
            "fast": {name: gate_figures(parity) for name, parity in fast.items()},
        }
        stage(folder, run_model=run / model_name, settings=settings, manifest=manifest, workers=workers)
        return Built(model_name, pack(folder, model=model_name, version=version, store=store), exact | fast)


def _require_products(settings: ProductSettings, test: RunProducts) -> None:
    """Refuse a model that no test product has something to read for, before the graphs are exported."""
    if not (test.products[list(settings.modalities)] != "").any(axis=None):
        words = " or ".join({"image": "a picture", "text": "a title"}[name] for name in settings.modalities)
        raise VerificationError(
            f"no test product has {words}, so {settings.model} cannot be verified and is not archived: "
            "train again with products that have it, or choose other models with --model"
        )


def _require_room(name: str, model: ProductClassifier, store: Path) -> None:
    """Refuse a disk that is too full before the graphs are exported, which takes a minute.

    Raises:
        StorageError: the temporary folder lacks room for both graphs and the unpacked archive, or the store's disk for
            the archive and the archiver's copy; or one of them cannot be written to.
    """
    weights = sum(value.nbytes for value in model.state_dict().values())
    existing = next(folder for folder in (store.absolute(), *store.absolute().parents) if folder.exists())
    for folder, copies in ((Path(tempfile.gettempdir()), 3), (existing, 2)):
        if not os.access(folder, os.W_OK):
            raise StorageError(f"{folder} cannot be written to; let this user write there, or choose another folder")
        require_room(folder / f"{name}.mar", copies * weights)


def export_graphs(model: ProductClassifier, folder: Path, settings: ProductSettings) -> None:
    """Write ``model.pt``, ``model.onnx`` and its parts, which share one copy of the weights.

    Args:
        model: in evaluation mode, on the CPU.
        folder: to write to.
        settings: of the model.
    """
    deployed = inference_form(model, example_inputs(settings.image_size))
    export_torchscript(deployed, folder / "model.pt", image_size=settings.image_size)
    export_onnx(deployed, folder / "model.onnx", image_size=settings.image_size, max_tokens=settings.max_tokens)
    for graph in folder.glob("model*.onnx"):
        share_weights(graph, folder / "model.pt")


def _verified(
    folder: Path, eager: Forward, test: RunProducts, *, preprocessor: ProductPreprocessor, settings: ProductSettings
) -> tuple[dict[str, Parity], dict[str, Parity]]:
    """Compare the exact and the fast engines with the trained model; return two dictionaries by engine name.

    Raises:
        VerificationError: an exact engine disagrees.
    """
    options = LoadOptions(folder, settings, threads=torch.get_num_threads())
    exact = {row.name: row.build(options) for row in ENGINES if row.device == "cpu" and row.gate is None}
    products = [preprocessor(*pair) for pair in test.pairs()]
    ids, truth = test.products["id"].tolist(), product_targets(test.products, settings.attributes)
    parities = verify(eager, {**exact, **fast_engines(options)}, products, ids=ids, truth=truth, settings=settings)
    # The engines compute the graphs in parts; whoever loads a whole file must get the same answers.
    whole: dict[str, Forward] = {
        "model.onnx": OnnxGraph(folder / "model.onnx", threads=options.threads),
        "model.pt": whole_torchscript(folder / "model.pt"),
    }
    few = slice(WHOLE_FILE_PRODUCTS)
    require_parity(verify(eager, whole, products[few], ids=ids[few], truth=truth[few], settings=settings))
    by_exact = {name: parities.pop(name) for name in exact}
    require_parity(by_exact)
    return by_exact, parities


def _require_forced(engine: str, fast: dict[str, Parity]) -> None:
    """Refuse to force a fast engine that has not passed the accuracy gate.

    Raises:
        VerificationError: the engine failed the gate, or cannot run here.
    """
    if engine == AUTO or engine_row(engine).gate is None:
        return
    parity = fast.get(engine)
    if parity is None:
        raise VerificationError(f"{engine} cannot be verified here; nothing was archived: {_USE_AUTO}")
    if not passes_gate(parity):
        raise VerificationError(
            f"{engine} answers {parity.same_class:.1%} alike, with an accuracy of {parity.main['accuracy']:.3f} for "
            f"{parity.main['eager_accuracy']:.3f}; nothing was archived: {_USE_AUTO}"
        )


def _drop_unusable_int8(folder: Path, parity: Parity | None) -> None:
    """Delete the int8 towers unless it passed the accuracy gate; its figures stay in the manifest."""
    if parity is None or not passes_gate(parity):
        for file in part_files(folder / INT8_GRAPH).values():
            file.unlink()


def _manifest(run: Path, settings: ProductSettings, *, version: str, golden: list[dict[str, Any]]) -> dict[str, Any]:
    record = read_run(run)
    options = {name: value for name, value in record.arguments.items() if name != "source"}
    kept = record.as_dict()
    return {
        "model": settings.model,
        "version": version,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "attributes": {each.name: list(each.labels) for each in settings.attributes},
        "training": {
            "created": record.created,
            "catalogue": Path(record.source.path).name,
            "products": kept["products"],
            "split": kept["split"],
            "options": options,
        },
        "metrics": record.metrics[settings.model],
        "golden": golden,
    }
