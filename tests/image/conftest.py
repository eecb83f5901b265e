"""The image, built once from a base of its own, and containers of it that are as restricted as they get."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from containers import NETWORK_PATIENCE, ROOT, RUN, Container, podman, shell

from benchmarks.server.systems.torchserve_config import write_config

BASE, TAG = "localhost/product-classifier-base:test", "localhost/product-classifier:test"
BUILD = ("--isolation", "chroot", "--ulimit", "nofile=1024:2000")
HARDENED = ("--read-only", "--user", "12345:12345", "--memory", "3g", "--cpus", "1.5", "--cap-drop", "all")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here builds or runs containers, as root."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.container)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of IMAGE_BASE, else a Debian with Python 3.11, which needs no registry of images."""
    if given := os.environ.get("IMAGE_BASE"):
        return given
    root = tmp_path_factory.mktemp("debian")
    packages = "python3,python3-distutils,python3-lib2to3,python3.11,python3.11-venv"
    shell(
        *("debootstrap", "--variant=minbase", "--components=main", f"--include={packages}", "bookworm", str(root)),
        patience=NETWORK_PATIENCE,
    )
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as packed:
        subprocess.run(["podman", "import", "-", BASE], stdin=packed.stdout, check=True, capture_output=True)
    shutil.rmtree(root)
    return BASE


@pytest.fixture(scope="session")
def image(base: str) -> Iterator[str]:
    """The image for CPUs, built as a user builds it."""
    made = ("make", "image", "IMAGE_TOOL=buildah", f"BASE={base}", f"TAG={TAG}", f"IMAGE_ARGS={' '.join(BUILD)}")
    shell(*made, patience=NETWORK_PATIENCE)
    yield TAG
    shell("podman", "rmi", "--force", TAG, check=False)


@pytest.fixture
def start(image: str, tmp_path: Path) -> Iterator[Callable[..., Container]]:
    """Start a container with these archives; it is removed at the end of the test."""
    started: list[str] = []

    def run(*archives: Path, options: Sequence[str] = HARDENED) -> Container:
        store, state = tmp_path / "model_store", tmp_path / "state"
        store.mkdir()
        state.mkdir()
        for archive in archives:
            shutil.copy(archive, store)
        config = write_config(tmp_path, store=Path("model_store"), load_models="all")
        config.path.write_text(config.path.read_text().replace(f"={ROOT / 'deploy'}/", "=deploy/"))
        shell("chown", "12345:12345", str(state))
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(0o755)
        name = f"product-classifier-test-{os.getpid()}"
        mounts = (f"{store}:/app/model_store:ro", f"{config.path}:/app/config.properties:ro", f"{state}:/state")
        volumes = [part for mount in mounts for part in ("--volume", mount)]
        podman("run", "--detach", "--name", name, *RUN, *options, *volumes, image)
        started.append(name)
        return Container(name, config)

    yield run
    for name in started:
        podman("rm", "--force", name, check=False)
