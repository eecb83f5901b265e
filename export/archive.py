"""Stage a verified model, pack it as ``.mar``, and load the archive in an isolated Python before it enters the store.

Each version has its ``model_store/<model>-<version>.mar``. ``model_store/<model>.mar`` is the default version, which
the server loads when it starts. A first build makes both; building another version does not change the default version.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from export.bom import BOM, archive_bom
from export.queue_size import BATCH, QUEUE_LEAST, products_a_second, queue_size
from handlers.product_serving.archive import MANIFEST, SUMS, format_sums, read_golden_products
from handlers.product_serving.preprocessing import ProductPreprocessor
from handlers.product_serving.settings import ProductSettings
from training.system.storage import link, write_json, write_text

HANDLERS = Path(__file__).parent.parent / "handlers"
HANDLER, STARTUP, PACKAGE = "product_handler.py", "sitecustomize.py", "product_serving"
LOAD_CHECK = Path(__file__).with_name("load_check.py")
# Per model. A worker either computes or exchanges a batch with the front end; two workers can overlap these.
WORKERS = 2
WORKER_CONFIG = {
    "batchSize": BATCH,
    # Milliseconds from when the worker becomes free. Under load, batches form without it; a lone request waits for it.
    "maxBatchDelay": 1,
    "responseTimeout": 60,
    "startupTimeout": 120,
}


class BuildError(ValueError):
    """The archive cannot be built, or does not load on its own."""


def stage(
    folder: Path,
    *,
    run_model: Path,
    settings: ProductSettings,
    manifest: dict[str, Any],
    workers: int = WORKERS,
) -> None:
    """Add all other files of an archive to a folder that holds ``model.pt`` and ``model.onnx``.

    Args:
        folder: becomes the archive's content.
        run_model: the model's folder in the run, for the tokenizer.
        settings: of the model.
        manifest: origin of the model, and its golden products.
        workers: processes that TorchServe starts; they share the cores.
    """
    copy_handler(folder)
    shutil.copy(run_model / "tokenizer.json", folder)
    write_text(folder / "settings.json", settings.to_json())
    preprocessor = ProductPreprocessor(settings, folder / "tokenizer.json")
    speed = products_a_second(folder / "model.onnx", preprocessor, read_golden_products(manifest))
    config = worker_config(workers, queue=queue_size(speed))
    write_text(folder / "model-config.yaml", yaml.safe_dump(config, sort_keys=False))
    write_json(folder / MANIFEST, manifest)
    write_text(folder / BOM, archive_bom(folder, model=settings.model, manifest=manifest))


def copy_handler(folder: Path) -> None:
    """Copy the handler and its package into a folder, as an unpacked archive holds them."""
    for name in (HANDLER, STARTUP):
        shutil.copy(HANDLERS / name, folder)
    shutil.copytree(HANDLERS / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))


def worker_config(workers: int, *, queue: int = QUEUE_LEAST) -> dict[str, Any]:
    """Return the content of ``model-config.yaml`` for a number of worker processes and of requests that may wait."""
    return {"minWorkers": workers, "maxWorkers": workers, **WORKER_CONFIG, "jobQueueSize": queue}


def pack(folder: Path, *, model: str, version: str, store: Path) -> Path:
    """Pack a staged folder, check the archive, and put it into the store.

    Args:
        folder: complete, as :func:`stage` leaves it.
        model: archive and model name.
        version: of the archive in TorchServe.
        store: the model store.

    Returns:
        ``<store>/<model>-<version>.mar``.

    Raises:
        BuildError: the archiver failed, or the archive does not load and answer on its own.
    """
    store.mkdir(parents=True, exist_ok=True)
    # The archiver empties <tmp>/<model name>; a separate temporary folder for each build lets two builds run at once.
    with tempfile.TemporaryDirectory(dir=store, prefix=".build-") as temporary:
        _run_archiver(folder, model=model, version=version, temporary=Path(temporary))
        built = Path(temporary) / f"{model}.mar"
        add_checksums(built)
        check_archive(built)
        versioned = store / f"{model}-{version}.mar"
        built.replace(versioned)
    default = store / f"{model}.mar"
    if not default.exists() or archive_version(default) == version:
        link(versioned, default)
    return versioned


def refuse_other_runs(store: Path, models: Iterable[str], *, version: str, run: Path, created: str) -> None:
    """Refuse to overwrite archives that another run has under the same version.

    Args:
        store: the model store.
        models: names of the models to archive.
        version: of the archives.
        run: the run folder, for the message.
        created: when the run was completed, from ``run.json``.

    Raises:
        BuildError: such an archive exists; the message gives the commands to go on.
    """
    free = "3.0" if version == "2.0" else "2.0"
    for model in models:
        archive = store / f"{model}-{version}.mar"
        if archive.exists() and (other := _origin(archive)).get("created") != created:
            of = f" ({other['catalogue']}, trained {other['created']})" if {"catalogue", "created"} <= {*other} else ""
            raise BuildError(
                f"{archive} was built from another run{of}. Give the archives of {run} a version of their own: "
                f"`make archive RUN={run} VERSION={free}`; or replace those: `make archive RUN={run} REPLACE=1` "
                "(`python -m export` has --version and --replace)"
            )


def _origin(archive: Path) -> dict[str, Any]:
    """Read the training record in an archive's manifest; empty if the archive has none or cannot be read."""
    try:
        with zipfile.ZipFile(archive) as content:
            return dict(json.loads(content.read(MANIFEST))["training"])
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError):
        return {}


def add_checksums(archive: Path) -> None:
    """Add ``SHA256SUMS`` with the checksums of all files in the archive, the archiver's own included."""
    with zipfile.ZipFile(archive, "a") as content:
        content.writestr(SUMS, format_sums({name: _sha256(content, name) for name in content.namelist()}))


def check_archive(archive: Path) -> None:
    """Unpack an archive elsewhere; an isolated Python loads its handler and answers a golden product.

    Raises:
        BuildError: this fails; the message ends with Python's output.
    """
    with tempfile.TemporaryDirectory() as elsewhere:
        with zipfile.ZipFile(archive) as content:
            content.extractall(elsewhere)
        result = subprocess.run(
            [sys.executable, "-I", str(LOAD_CHECK), elsewhere],
            cwd=elsewhere,
            capture_output=True,
            text=True,
            check=False,
        )
    if result.returncode:
        raise BuildError(f"{archive.name} does not load on its own; it was not put into the store:\n{result.stderr}")


def archive_version(archive: Path) -> str:
    """Read the version that TorchServe takes from an archive."""
    with zipfile.ZipFile(archive) as content:
        return str(json.loads(content.read("MAR-INF/MANIFEST.json"))["model"]["modelVersion"])


def _run_archiver(folder: Path, *, model: str, version: str, temporary: Path) -> None:
    serialized, handler, config = (folder / name for name in ("model.pt", HANDLER, "model-config.yaml"))
    files = [path for path in sorted(folder.iterdir()) if path not in (serialized, handler, config, folder / PACKAGE)]
    # The archiver copies the content of a folder, not the folder: an outer folder keeps the package's name.
    packages = temporary / "packages"
    shutil.copytree(folder / PACKAGE, packages / PACKAGE)
    extra = [str(path) for path in (*files, packages)]
    command = [
        sys.executable, "-m", "model_archiver.model_packaging",
        "--model-name", model, "--version", version, "--serialized-file", str(serialized), "--handler", str(handler),
        "--config-file", str(config), "--extra-files", ",".join(extra), "--export-path", str(temporary),
        "--archive-format", "zip-store",
    ]  # fmt: skip
    environment = {**os.environ, "TMPDIR": str(temporary)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BuildError(f"torch-model-archiver failed on {model}: {result.stderr.strip().splitlines()[-1]}")


def _sha256(archive: zipfile.ZipFile, name: str) -> str:
    with archive.open(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
