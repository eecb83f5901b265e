"""The model store: which archive is which version, and which one a start of the server loads."""

from pathlib import Path

import pytest
from fake_torchserve import write_archive

from client.api.errors import ClientError
from client.archives.model_store import ModelStore, identify_archive


def test_a_version_is_found_by_its_own_name(store: ModelStore) -> None:
    assert store.version("intermediate", "2.0").path.name == "intermediate-2.0.mar"


def test_a_version_is_found_under_the_name_of_the_model(store: ModelStore) -> None:
    write_archive(store.folder, "late", "1.0", default=True)
    assert store.version("late", "1.0").path.name == "late.mar"


@pytest.mark.parametrize("version", ["1", "2", "3.0"])
def test_versions_match_to_the_letter(store: ModelStore, version: str) -> None:
    with pytest.raises(ClientError, match=f"make archive MODEL=intermediate VERSION={version}"):
        store.version("intermediate", version)


def test_a_file_of_another_version_is_not_taken(store: ModelStore) -> None:
    write_archive(store.folder, "intermediate", "2.5").rename(store.folder / "intermediate-3.0.mar")
    with pytest.raises(ClientError, match=r"no archive of intermediate 3\.0"):
        store.version("intermediate", "3.0")


def test_an_archive_that_is_not_there_lists_those_that_are(store: ModelStore) -> None:
    with pytest.raises(ClientError, match=r"archives there: intermediate-1\.0\.mar, intermediate-2\.0\.mar, interm"):
        store.archive("late.mar")


@pytest.mark.parametrize("length", [0, 1, -30])
def test_a_truncated_archive_is_refused(store: ModelStore, length: int) -> None:
    path = store.folder / "intermediate-1.0.mar"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ClientError, match=r"intermediate-1\.0\.mar: .*make archive"):
        identify_archive(path)


def test_the_default_version_changes_in_one_step(store: ModelStore) -> None:
    with store.next_default(store.version("intermediate", "2.0")) as load:
        assert store.default_version("intermediate") == "1.0"
        load()
    assert identify_archive(store.folder / "intermediate.mar").version == "2.0"
    assert identify_archive(store.folder / "intermediate-1.0.mar").version == "1.0"
    assert not list(store.folder.glob(".*"))


def test_a_version_that_has_only_the_name_of_the_model_is_kept(tmp_path: Path) -> None:
    write_archive(tmp_path, "late", "1.0", default=True)
    write_archive(tmp_path, "late", "2.0")
    store = ModelStore(tmp_path)
    with store.next_default(store.version("late", "2.0")) as load:
        load()
    assert store.version("late", "1.0").path.name == "late-1.0.mar"


def test_all_archives_load_with_the_default_version_first(tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    for model, version in (("late", "1.0"), ("late", "2.0"), ("image", "1.0"), ("image-small", "1.0")):
        write_archive(tmp_path, model, version)
    (tmp_path / "late.mar").hardlink_to(tmp_path / "late-2.0.mar")
    (tmp_path / "image-small.mar").hardlink_to(tmp_path / "image-small-1.0.mar")
    (tmp_path / "notes.txt").touch()
    for name in ("all", "ALL"):
        found = [archive.path.name for archive in store.loaded([name])]
        assert found == ["image-1.0.mar", "image-small.mar", "late.mar", "late-1.0.mar"]
    assert store.loaded_at_start(["all"]) == {"image": "1.0", "image-small": "1.0", "late": "2.0"}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("none.mar", r"none\.mar does not exist; archives there: late-1\.0\.mar"),
        ("shoes=late-1.0.mar", r"holds the model late; write late-1\.0\.mar without shoes="),
        ("https://example.com/late-1.0.mar", "is no file name"),
        ("../late-1.0.mar", "is no file name"),
        ("broken.mar", "cannot be read"),
    ],
)
def test_what_cannot_be_loaded_is_refused(tmp_path: Path, entry: str, message: str) -> None:
    write_archive(tmp_path, "late", "1.0")
    if entry == "broken.mar":
        (tmp_path / entry).write_bytes(b"PK")
    store = ModelStore(tmp_path)
    with pytest.raises(ClientError, match=message):
        store.loaded([entry])
    assert store.loaded_at_start([entry, "late-1.0.mar"]) == {"late": "1.0"}
    assert [archive.version for archive in store.loaded(["late=late-1.0.mar"])] == ["1.0"]


def test_an_empty_store_has_nothing_to_load(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="holds no archive; `make archive` builds them"):
        ModelStore(tmp_path).loaded(["all"])
