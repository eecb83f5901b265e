"""``python -m export --target triton``: an archive's content as a model in a repository of Triton Inference Server.

repository/late/config.pbtxt
repository/late/1/model.py, product_serving/, model.onnx, manifest.json, ...
"""

import re
from collections.abc import Iterable
from pathlib import Path

from export.targets.bundle import TargetError, Unpacked, check, copy_module, put, requirements, unpacked
from training.system.storage import write_text

CONFIG = "config.pbtxt"
_INPUTS = (("image", "TYPE_STRING"), ("text", "TYPE_STRING"), ("options", "TYPE_STRING"))
_OUTPUTS = (("answer", "TYPE_STRING"), ("status", "TYPE_INT32"), ("label", "TYPE_STRING"), ("score", "TYPE_FP64"))
_WHOLE = re.compile(r"(\d+)(?:\.0+)*")


def write_repository(archive: Path, repository: Path, *, replace: bool = False) -> Path:
    """Add a verified archive to a model repository.

    Args:
        archive: path of the ``.mar``.
        repository: folder to write to; it may hold other models, and other versions of this one.
        replace: overwrite a version that is there.

    Returns:
        The folder of the version, ``<repository>/<model>/<number>``. The number is the archive's version where that is
        a whole number (``2``, ``2.0``), else the first that is free.

    Raises:
        TargetError: the archive cannot be used, or the version exists.
    """
    with unpacked(archive, beside=repository) as content:
        place = require_free(repository, content.model, content.version, replace=replace)
        folder = place.parent
        copy_module("triton_model.py", content.folder / "model.py")
        (content.folder / "requirements.txt").write_text(requirements(), encoding="utf-8")
        check(content.folder)
        config = config_text(content)
        if not folder.exists():  # a model appears whole, also for a server that polls the repository
            whole = content.folder.parent / "model"
            whole.mkdir()
            write_text(whole / CONFIG, config)
            content.folder.rename(whole / place.name)
            put(whole, folder)
        else:
            put(content.folder, place)
            write_text(folder / CONFIG, config)
    return place


def require_free(repository: Path, model: str, version: str, *, replace: bool) -> Path:
    """Return the folder for a version of a model.

    Raises:
        TargetError: it exists and may not be replaced.
    """
    folder = repository / model
    place = folder / str(_number(version, _numbers(folder)))
    if place.exists() and not replace:
        raise TargetError(f"{place} exists; export another version (--version), or add --replace")
    return place


def config_text(content: Unpacked) -> str:
    """Return the ``config.pbtxt`` of a model: batches, delay, processes and queue as in ``model-config.yaml``."""
    workers = content.workers
    inputs = (f'  {{ name: "{name}" data_type: {kind} dims: [ 1 ] optional: true }}' for name, kind in _INPUTS)
    outputs = (f'  {{ name: "{name}" data_type: {kind} dims: [ 1 ] }}' for name, kind in _OUTPUTS)
    return (
        f'name: "{content.model}"\n'
        'backend: "python"\n'
        f"max_batch_size: {int(workers['batchSize'])}\n"
        f"input [\n{_joined(inputs)}\n]\n"
        f"output [\n{_joined(outputs)}\n]\n"
        "dynamic_batching {\n"
        f"  max_queue_delay_microseconds: {1000 * int(workers['maxBatchDelay'])}\n"
        f"  default_queue_policy {{ max_queue_size: {int(workers['jobQueueSize'])} }}\n"
        "}\n"
        f"instance_group [ {{ count: {int(workers['maxWorkers'])} kind: KIND_AUTO }} ]\n"
        "version_policy { latest { num_versions: 1 } }\n"
    )


def _joined(lines: Iterable[str]) -> str:
    return ",\n".join(lines)


def _numbers(folder: Path) -> list[int]:
    """The versions of a model that are in the repository."""
    return [int(path.name) for path in folder.glob("*") if path.is_dir() and path.name.isdigit()]


def _number(version: str, taken: list[int]) -> int:
    """Triton's versions are whole numbers from 1 on."""
    whole = _WHOLE.fullmatch(version)
    return int(whole[1]) if whole and int(whole[1]) else max([0, *taken]) + 1
