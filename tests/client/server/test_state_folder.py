"""The folder that a server writes to, where it is not that of its configuration."""

from pathlib import Path

import pytest

from client.api.errors import ClientError
from client.server.config import STATE_VARIABLE, ServerConfig, read_config
from client.server.state_folder import link_paths


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project with all that our configuration names by relative paths."""
    folder = tmp_path / "project of the shop"
    (folder / "deploy").mkdir(parents=True)
    (folder / "deploy" / "log4j2.xml").write_text("<Configuration/>")
    (folder / "deploy" / "metrics.yaml").write_text("{}")
    (folder / "store").mkdir()
    return folder


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    folder.mkdir()
    monkeypatch.setenv(STATE_VARIABLE, str(folder))
    return folder


def configured(home: Path, *more: str) -> ServerConfig:
    lines = (
        "model_store=store",
        "metrics_config=deploy/metrics.yaml",
        "vmargs=-Xmx1g -Dlog4j.configurationFile=deploy/log4j2.xml -Duser.language=en",
        *more,
    )
    (home / "config.properties").write_text("\n".join(lines))
    return read_config(home / "config.properties")


def test_tokens_and_state_lie_beside_the_configuration_by_default(home: Path) -> None:
    config = configured(home)
    assert config.state == home and config.key_file == home / "key_file.json"
    link_paths(config)
    assert {path.name for path in home.iterdir()} == {"config.properties", "deploy", "store"}


def test_the_environment_names_another_folder(home: Path, state: Path) -> None:
    config = configured(home)
    assert config.state == state and config.key_file == state / "key_file.json"
    assert config.model_store == home / "store"


def test_relative_paths_lead_to_the_same_files(home: Path, state: Path) -> None:
    for _ in range(2):  # a start after a crash finds its links
        link_paths(configured(home))
    assert (state / "deploy" / "log4j2.xml").read_text() == "<Configuration/>"
    assert (state / "store").resolve() == home / "store"
    assert {path.name for path in state.iterdir()} == {"deploy", "store"}


def test_a_link_to_an_earlier_project_is_renewed(home: Path, state: Path, tmp_path: Path) -> None:
    (state / "store").symlink_to(tmp_path / "gone")
    link_paths(configured(home))
    assert (state / "store").resolve() == home / "store"


def test_a_file_in_the_way_stays(home: Path, state: Path) -> None:
    (state / "store").mkdir()
    with pytest.raises(ClientError, match="in the way of a link"):
        link_paths(configured(home))
    assert (state / "store").is_dir() and not (state / "store").is_symlink()


def test_a_path_out_of_the_project_must_be_whole(home: Path, state: Path) -> None:
    (home.parent / "keys.p12").write_text("")
    with pytest.raises(ClientError, match=r"write a whole path in place of one with `\.\.`"):
        link_paths(configured(home, "keystore=../keys.p12"))


@pytest.mark.parametrize("named", ["state", "/nowhere/at/all"])
def test_a_folder_that_cannot_be(home: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv(STATE_VARIABLE, named)
    with pytest.raises(ClientError, match=f"{STATE_VARIABLE}={named}: there is no such folder"):
        configured(home)


def test_the_first_of_several_folders_counts(home: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STATE_VARIABLE, f"{state}:/var/lib/other")
    assert configured(home).state == state
