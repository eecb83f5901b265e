"""The manifests of deploy/kubernetes, rendered by kubectl or as they are written."""

import functools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"
STABLE, CANARY, KSERVE, ROUTE = "overlays/stable", "overlays/canary", "kserve", "route"
KUBECTL = shutil.which("kubectl")
Manifest = dict[str, Any]


@functools.cache
def render(folder: Path) -> tuple[Manifest, ...]:
    """What ``kubectl apply -k`` would send."""
    if KUBECTL is None:
        pytest.skip("needs kubectl (with kustomize 5)")
    result = subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "deprecated" not in result.stderr, result.stderr
    return tuple(yaml.safe_load_all(result.stdout))


def rendered(name: str) -> tuple[Manifest, ...]:
    """A folder of deploy/kubernetes."""
    return render(KUBERNETES / name)


def one(manifests: tuple[Manifest, ...], kind: str, name: str | None = None) -> Manifest:
    """The only manifest of a kind, or of a kind and a name."""
    [found] = [each for each in manifests if each["kind"] == kind and name in (None, each["metadata"]["name"])]
    return found


def pod_of(manifests: tuple[Manifest, ...]) -> Manifest:
    """The pod's spec: of the Deployment, or of KServe's predictor."""
    if any(each["kind"] == "Deployment" for each in manifests):
        return one(manifests, "Deployment")["spec"]["template"]["spec"]  # type: ignore[no-any-return]
    return one(manifests, "InferenceService")["spec"]["predictor"]  # type: ignore[no-any-return]


def containers(pod: Manifest) -> Iterator[Manifest]:
    """All containers of a pod, in the order of their start."""
    yield from pod.get("initContainers", ())
    yield from pod["containers"]


def container(pod: Manifest, name: str) -> Manifest:
    """One container by its name."""
    return next(each for each in containers(pod) if each["name"] == name)


def settings(path: Path) -> dict[str, str]:
    """The entries of a ``config.properties``."""
    lines = path.read_text(encoding="utf-8").splitlines()
    entries = (line.partition("=") for line in lines if line.strip() and not line.startswith("#"))
    return {key: value for key, _, value in entries}


def directives(text: str) -> list[str]:
    """The lines of an nginx configuration without comments, blanks and indentation."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
