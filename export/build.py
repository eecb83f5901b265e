"""Turn one model of a run into a verified archive in the store."""

import dataclasses
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from export.accuracy_gate import add_int8, fast_engines, gate_figures, passes_gate
from export.archive import WORKERS, pack, stage
from export.cascade import cascade_figures, fitted_cascade, require_cascade, see
from export.golden import select_golden_products
from export.graphs.inference_form import inference_form
from export.graphs.shared_weights import share_weights
from export.graphs.to_onnx import export_onnx
from export.graphs.torchscript import example_inputs, export_torchscript, whole_torchscript
from export.run_products import RunProducts, read_run_products
from export.verify import Forward, Parity, VerificationError, eager_forward, require_parity, verify
from handlers.product_serving.cascade import LETTERS_GRAPH
from handlers.product_serving.engines.engine import Engine
from handlers.product_serving.engines.int8 import INT8_GRAPH
from handlers.product_serving.engines.onnx import OnnxGraph, part_files
from handlers.product_serving.engines.table import AUTO, ENGINES, LoadOptions, engine_row
from handlers.product_serving.preprocessing import ProductPreprocessor
from handlers.product_serving.settings import ProductSettings
from training.data.attributes import product_targets
from training.models import ProductClassifier
from training.run.checkpoint import load_model
from training.run.model_card import CARD, model_card
from training.run.record import read_run
from training.scores.reference import REFERENCE_FILE
from training.system.storage import StorageError, read_json, require_room, write_text

WHOLE_FILE_PRODUCTS = 32
CASCADE_LIMIT = 4000  # products to fit a cascade on, and as many to measure it on
Exits = dict[str, dict[str, float]]  # figures of a cascade, by state of modalities
_USE_AUTO = "leave the choice to --engine auto"


@dataclasses.dataclass(frozen=True)
class Built:
    """A built archive and its verification.

    Args:
        model: registry name.
        archive: path in the store.
        parities: result of the verification for each exact and fast engine, by name.
        exits: of the cascade, as from :func:`export.cascade.cascade_figures`; empty without one.
    """

    model: str
    archive: Path
    parities: dict[str, Parity]
    exits: Exits


@dataclasses.dataclass(frozen=True)
class CascadeProducts:
    """The products that a cascade is fitted and measured on.

    Args:
        validation: fit the thresholds.
        test: measure what the exits change.
    """

    validation: RunProducts
    test: RunProducts

    def fitted(
        self, run: Path, settings: ProductSettings, *, folder: Path, engine: Engine, preprocessor: ProductPreprocessor
    ) -> tuple[ProductSettings, Exits]:
        """Settings with fitted exits, and the figures of the gate.

        Raises:
            VerificationError: the gate is missed.
        """

        def seen(products: RunProducts) -> dict[str, Any]:
            prepared = [preprocessor(*pair) for pair in products.pairs()]
            truth = product_targets(products.products, settings.attributes)
            return {"folder": folder, "engine": engine, "products": prepared, "truth": truth}

        letters = ProductSettings.from_json(run / "lexical" / "settings.json")
        settings = fitted_cascade(settings, letters, **seen(self.validation))
        figures = cascade_figures(settings, see(settings, **seen(self.test)))
        require_cascade(figures)
        return settings, figures


def cascade_products(run: Path) -> CascadeProducts:
    """The validation and test products of a run, ``CASCADE_LIMIT`` of each at most."""
    parts = (read_run_products(run, limit=CASCADE_LIMIT, part=part) for part in ("validation", "test"))
    return CascadeProducts(*parts)


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
    cascade: CascadeProducts | None = None,
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
        cascade: products to fit and to measure exits on; None builds an archive without a cascade. A model without the
            lexical tower beside others gets none.

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
        exits: Exits = {}
        if cascade is not None and (folder / LETTERS_GRAPH).is_file():
            quickest = _quickest(folder, settings, fast)
            settings, exits = cascade.fitted(run, settings, folder=folder, engine=quickest, preprocessor=preprocessor)
        labels = test.products["label"].tolist()
        golden = select_golden_products(test.pairs(), eager, truth=labels, preprocessor=preprocessor, settings=settings)
        manifest = _manifest(run, settings, version=version, golden=golden) | _measured(exact, fast, exits)
        write_text(folder / CARD, model_card(run, model_name))
        stage(folder, run_model=run / model_name, settings=settings, manifest=manifest, workers=workers)
        archive = pack(folder, model=model_name, version=version, store=store)
        return Built(model_name, archive, exact | fast, exits)


def _quickest(folder: Path, settings: ProductSettings, fast: dict[str, Parity]) -> Engine:
    """The fastest exact or verified engine of a CPU: the exits are fitted on the answers that will be served."""
    verified = [name for name, parity in fast.items() if passes_gate(parity) and engine_row(name).device == "cpu"]
    options = LoadOptions(folder, settings, threads=torch.get_num_threads())
    return engine_row(verified[-1] if verified else "onnx").build(options)


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


def _measured(exact: dict[str, Parity], fast: dict[str, Parity], exits: Exits) -> dict[str, Any]:
    """The manifest's figures of engines and exits."""
    return {
        "parity": {name: parity.as_dict() for name, parity in exact.items()},
        "fast": {name: gate_figures(parity) for name, parity in fast.items()},
        **({"cascade": exits} if exits else {}),
    }


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
        "reference": read_json(run / settings.model / REFERENCE_FILE),
        "golden": golden,
    }
