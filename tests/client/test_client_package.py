"""The package names what a program needs, and imports it only when it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

import client


@pytest.mark.parametrize("name", client.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(client, name).__name__ == name


def test_no_other_name() -> None:
    with pytest.raises(AttributeError, match="Unknown"):
        client.Unknown  # noqa: B018


def test_the_package_alone_loads_no_http_client() -> None:
    program = (
        "import sys, client; assert 'httpx' not in sys.modules; client.ProductClient; assert 'httpx' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=True)
