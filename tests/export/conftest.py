"""The archive of the known model in other forms; read them, never change them."""

from pathlib import Path

import pytest

from export.targets.python_package import write_package
from export.targets.triton import write_repository


@pytest.fixture(scope="session")
def triton_repository(known_archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with version 1 of ``known``."""
    folder = tmp_path_factory.mktemp("triton") / "repository"
    assert write_repository(known_archive, folder) == folder / "known" / "1"
    return folder


@pytest.fixture
def package(known_archive: Path, tmp_path: Path) -> Path:
    """The package ``product_model``."""
    return write_package(known_archive, tmp_path / "python" / "product_model")
