"""One model of a run, from weights to a verified archive in the store."""

import dataclasses
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from export.archive import WORKERS, pack, stage
from export.fast import add_int8, fast_engines, passes, record
from export.golden import golden_products
from export.inference_form import inference_form
from export.shared_weights import share_weights
from export.to_onnx import export_onnx
from export.torchscript import example_inputs, export_torchscript
from export.verify import Forward, Parity, VerificationError, eager_forward, require_parity, verify
from handlers.product_serving.engines.int8 import INT8_GRAPH
from handlers.product_serving.engines.table import AUTO, ENGINES, Site, engine_row
from handlers.product_serving.preprocessing import ProductPreprocessor
from handlers.product_serving.settings import ProductSettings
from training.catalog.reading import Catalog, read_catalog
from training.data.attributes import product_targets
from training.data.corrections import reapply_corrections
from training.models import ProductClassifier
from training.run.checkpoint import RunError, load_model
from training.run.record import read_run

_LEAVE_IT = "leave the choice to --engine auto"


@dataclasses.dataclass(frozen=True)
class Built:
    """An archive and the proof it rests on.

    Args:
        model: registry name.
        archive: in the store.
        parities: by engine, exact ones and fast ones.
    """

    model: str
    archive: Path
    parities: dict[str, Parity]


@dataclasses.dataclass(frozen=True)
class TestProducts:
    """Products of a part of a run, the test part unless said otherwise, with their catalogue.

    Args:
        catalog: where the pictures lie.
        products: rows with ``id, image, text, label``.
    """

    catalog: Catalog
    products: pd.DataFrame

    def pairs(self) -> list[tuple[bytes | None, str | None]]:
        """Picture and title of each, None for what it has not."""
        return [
            (self.catalog.image_bytes(image) if image else None, text or None)
            for image, text in zip(self.products["image"], self.products["text"], strict=True)
        ]


def read_test_products(run: Path, *, limit: int | None, seed: int = 0, part: str = "test") -> TestProducts:
    """The test part of a run, or a random sample of it.

    Args:
        run: the run folder.
        part: another one: ``train`` to calibrate on.
        limit: at most so many; None takes all.
        seed: of the sample.

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
        products = products.sample(limit, random_state=seed)
    return TestProducts(catalog, products.reset_index(drop=True))


def build_archive(
    run: Path,
    model_name: str,
    *,
    version: str,
    store: Path,
    test: TestProducts,
    train: TestProducts | None = None,
    engine: str = AUTO,
    workers: int = WORKERS,
    cache_mib: float = 0,
) -> Built:
    """Export one model, prove that the graphs agree, and archive it.

    Args:
        run: the run folder, complete.
        model_name: registry name.
        version: of the archive.
        store: the model store.
        test: products to verify on.
        train: products to calibrate int8 on; without any the archive has no int8.
        engine: of the archive, as :class:`handlers.product_serving.settings.ProductSettings` has it.
        workers: processes that serve it.
        cache_mib: memory of each for answers it gave before, in MiB.

    Raises:
        VerificationError: a graph disagrees with the trained model, or the settings force a fast engine that fails the
            gate; nothing is archived.
        ArchiveError: the archive does not load on its own.
        RunError: the run lacks the model.
    """
    model, settings = load_model(run / model_name)
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
        _settle_int8(folder, fast.get("int8"))
        golden = golden_products(
            test.pairs(),
            eager,
            truth=test.products["label"].tolist(),
            preprocessor=preprocessor,
            settings=settings,
        )
        manifest = _manifest(run, settings, version=version, golden=golden) | {
            "parity": {name: parity.as_dict() for name, parity in exact.items()},
            "fast": {name: record(parity) for name, parity in fast.items()},
        }
        stage(folder, run_model=run / model_name, settings=settings, manifest=manifest, workers=workers)
        return Built(model_name, pack(folder, model=model_name, version=version, store=store), exact | fast)


def export_graphs(model: ProductClassifier, folder: Path, settings: ProductSettings) -> None:
    """Write ``model.pt`` and ``model.onnx``, which have one copy of the weights between them.

    Args:
        model: in evaluation mode, on the CPU.
        folder: to write to.
        settings: of the model.
    """
    deployed = inference_form(model, example_inputs(settings.image_size))
    export_torchscript(deployed, folder / "model.pt", image_size=settings.image_size)
    export_onnx(deployed, folder / "model.onnx", image_size=settings.image_size, max_tokens=settings.max_tokens)
    share_weights(folder / "model.onnx", folder / "model.pt")


def _verified(
    folder: Path, eager: Forward, test: TestProducts, *, preprocessor: ProductPreprocessor, settings: ProductSettings
) -> tuple[dict[str, Parity], dict[str, Parity]]:
    """How the exact engines and the fast ones agree with the trained model, by name.

    Raises:
        VerificationError: an exact one does not.
    """
    site = Site(folder, settings, threads=torch.get_num_threads())
    exact = {row.name: row.build(site) for row in ENGINES if row.device == "cpu" and row.gate is None}
    parities = verify(
        eager,
        {**exact, **fast_engines(site)},
        [preprocessor(*pair) for pair in test.pairs()],
        ids=test.products["id"].tolist(),
        truth=product_targets(test.products, settings.attributes),
        settings=settings,
    )
    by_exact = {name: parities.pop(name) for name in exact}
    require_parity(by_exact)
    return by_exact, parities


def _require_forced(engine: str, fast: dict[str, Parity]) -> None:
    """Let an archive use nothing but a fast engine only where that passed the gate.

    Raises:
        VerificationError: it did not.
    """
    if engine == AUTO or engine_row(engine).gate is None:
        return
    parity = fast.get(engine)
    if parity is None:
        raise VerificationError(f"{engine} cannot be verified here; nothing was archived: {_LEAVE_IT}")
    if not passes(parity):
        raise VerificationError(
            f"{engine} answers {parity.same_class:.1%} alike, with an accuracy of {parity.main['accuracy']:.3f} for "
            f"{parity.main['eager_accuracy']:.3f}; nothing was archived: {_LEAVE_IT}"
        )


def _settle_int8(folder: Path, parity: Parity | None) -> None:
    """Leave the int8 graph out of an archive that must not use it; its figures stay in the manifest."""
    if parity is None or not passes(parity):
        (folder / INT8_GRAPH).unlink(missing_ok=True)


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
