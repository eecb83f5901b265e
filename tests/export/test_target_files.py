"""An archive in other forms: the files that are written, and what is refused."""

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from client.scoring.local import LocalEngine
from export.__main__ import main
from export.targets import python_package, triton
from export.targets.bundle import STANDALONE, TargetError
from handlers.product_serving.archive import SUMS, format_sums, read_manifest
from handlers.product_serving.request import ProductFields


def changed(archive: Path, place: Path, *, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of an archive in which files are replaced, or left out for None; its checksums are right again."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(place, "w") as target:
        sums = {}
        for name in source.namelist():
            content = None if name == SUMS else change(name, source.read(name))
            if content is not None:
                target.writestr(name, content)
                sums[name] = hashlib.sha256(content).hexdigest()
        target.writestr(SUMS, format_sums(sums))
    return place


def versioned(archive: Path, place: Path, version: str) -> Path:
    """The archive under another version."""

    def change(name: str, content: bytes) -> bytes:
        if name != "MAR-INF/MANIFEST.json":
            return content
        document = json.loads(content)
        document["model"]["modelVersion"] = version
        return json.dumps(document).encode()

    return changed(archive, place, change=change)


# --- Files ------------------------------------------------------------------------------------------------------------


def test_a_repository_is_as_triton_wants_it(triton_repository: Path, known_archive: Path) -> None:
    model = triton_repository / "known"
    assert {path.name for path in triton_repository.iterdir()} == {"known"}, "what else lies there is taken for a model"
    assert {path.name for path in model.iterdir()} == {"config.pbtxt", "1"}
    config = (model / "config.pbtxt").read_text(encoding="utf-8")
    for line in (
        'name: "known"',
        'backend: "python"',
        "max_batch_size: 16",
        "max_queue_delay_microseconds: 1000",
        "instance_group [ { count: 2 kind: KIND_AUTO } ]",
    ):
        assert line in config
    assert config.count("optional: true") == 3 and config.count("{") == config.count("}")
    with zipfile.ZipFile(known_archive) as archive:
        for name in archive.namelist():
            if name != SUMS:
                assert (model / "1" / name).read_bytes() == archive.read(name)


@pytest.mark.parametrize("own", ["model.py", "requirements.txt"])
def test_checksums_cover_the_targets_own_files(triton_repository: Path, own: str) -> None:
    read_manifest(triton_repository / "known" / "1")
    assert f"  {own}\n" in (triton_repository / "known" / "1" / SUMS).read_text(encoding="utf-8")


def test_requirements_name_what_the_code_imports(package: Path) -> None:
    lines = (package / "requirements.txt").read_text(encoding="utf-8").splitlines()
    needed = {line.split("==")[0] for line in lines if not line.startswith("#")}
    assert needed == {"numpy", "onnxruntime", "pillow", "tokenizers"}


@pytest.mark.parametrize(
    ("version", "taken", "number"),
    [("2.0", [1], 2), ("3", [], 3), ("1.5", [], 1), ("1.5", [1, 4], 5), ("0.0", [], 1), ("beta", [2], 3)],
)
def test_versions_of_triton_are_whole_numbers(tmp_path: Path, version: str, taken: list[int], number: int) -> None:
    for each in taken:
        (tmp_path / "known" / str(each)).mkdir(parents=True)
    assert triton.require_free(tmp_path, "known", version, replace=False) == tmp_path / "known" / str(number)


def test_a_second_version_joins_the_first(triton_repository: Path, known_archive: Path, tmp_path: Path) -> None:
    shutil.copytree(triton_repository, tmp_path / "repository")
    second = versioned(known_archive, tmp_path / "known-2.0.mar", "2.0")
    given = ["--target", "triton", "--archive", str(second), "--out", str(tmp_path / "repository")]
    assert main(given) == 0
    assert {path.name for path in (tmp_path / "repository" / "known").iterdir()} == {"config.pbtxt", "1", "2"}
    assert main(given) == 1, "it is there"
    assert main([*given, "--replace"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"repository", "known-2.0.mar"}


@pytest.mark.slow
def test_a_run_becomes_an_archive_and_a_target(
    trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--run", str(trained_run), "--model", "text", "--store", str(tmp_path / "store"), "--limit", "4"]
    given += ["--target", "triton", "--out", str(tmp_path / "repository"), "--version", "7"]
    assert main(given) == 0
    assert (tmp_path / "repository" / "text" / "7" / "model.py").is_file() and (
        tmp_path / "store" / "text-7.mar"
    ).is_file()
    capsys.readouterr()
    assert main(given) == 1, "it is there"
    said = capsys.readouterr()
    assert "--replace" in said.err and "Archiving" not in said.out, "before anything is built"


# --- Refusals ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["triton", "python"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Path], Path]:
    """Write an archive as one of the targets, into a folder that is not there."""
    if request.param == "triton":
        return lambda archive: triton.write_repository(archive, tmp_path / "made" / "repository")
    return lambda archive: python_package.write_package(archive, tmp_path / "made" / "product_model")


def test_other_answers_are_refused(write: Callable[[Path], Path], known_archive: Path, tmp_path: Path) -> None:
    def change(name: str, content: bytes) -> bytes:
        return content.replace(b'"temperature": 1.6', b'"temperature": 1.7') if name == "settings.json" else content

    other = changed(known_archive, tmp_path / "other.mar", change=change)
    with pytest.raises(TargetError, match=r"(?s)nothing was written.*golden product"):
        write(other)
    assert not list((tmp_path / "made").iterdir())


def test_an_archive_of_an_earlier_version_is_refused(
    write: Callable[[Path], Path], known_archive: Path, tmp_path: Path
) -> None:
    old = changed(known_archive, tmp_path / "old.mar", change=lambda name, text: None if name == STANDALONE else text)
    with pytest.raises(TargetError, match="earlier version"):
        write(old)


def test_a_foreign_archive_is_refused_before_it_runs(
    write: Callable[[Path], Path], known_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key.pub").write_text("a key")
    monkeypatch.setenv("PRODUCT_TRUSTED_KEY", str(tmp_path / "key.pub"))
    with pytest.raises(TargetError, match="is not signed"):
        write(known_archive)
    assert not (tmp_path / "made").exists()


def test_damage_is_refused(write: Callable[[Path], Path], known_archive: Path, tmp_path: Path) -> None:
    content = bytearray(known_archive.read_bytes())
    broken = tmp_path / "broken.mar"
    broken.write_bytes(content[: len(content) // 2])
    with pytest.raises(TargetError, match="again with `make archive`"):
        write(broken)


@pytest.mark.parametrize("name", ["product-model", "2nd", "class", "json"])
def test_a_package_that_cannot_be_imported_is_refused(known_archive: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(TargetError, match="import"):
        python_package.write_package(known_archive, tmp_path / name)


def test_another_folder_is_never_replaced(known_archive: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear to me")
    with pytest.raises(TargetError, match="no package of this export"):
        python_package.write_package(known_archive, tmp_path / "mine", replace=True)


def test_a_package_is_replaced_when_asked(
    package: Path, known_archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--target", "python", "--archive", str(known_archive), "--out", str(package)]
    assert main(given) == 1 and "--replace" in capsys.readouterr().err
    assert main([*given, "--replace"]) == 0 and "from product_model import load" in capsys.readouterr().out
    assert {path.name for path in package.parent.iterdir()} == {"product_model"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--archive", "a.mar"], "--target"),
        (["--run", "r", "--out", "o"], "--out"),
        (["--run", "r", "--target", "triton"], "--out"),
        (["--run", "r", "--target", "python", "--out", "o"], "one model"),
        (["--archive", "a.mar", "--archive", "b.mar", "--target", "python", "--out", "o"], "one model"),
        (
            ["--archive", "a.mar", "--target", "triton", "--out", "o", "--version=3.0", "--cascade"],
            "--cascade, --version",
        ),
        (["--archive", "a.mar", "--run", "r", "--target", "triton", "--out", "o"], "not allowed"),
    ],
)
def test_options_that_do_not_go_together(given: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2 and said in capsys.readouterr().err


def test_an_archive_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = str(tmp_path / "none.mar")
    assert main(["--archive", missing, "--target", "triton", "--out", str(tmp_path / "repository")]) == 1
    assert missing in capsys.readouterr().err


# --- The package ------------------------------------------------------------------------------------------------------


def test_the_package_answers_on_its_own(package: Path, known_archive: Path, tmp_path: Path) -> None:
    """In a Python that sees nothing of this repository, also where the package lies under another name."""
    shutil.copytree(package, tmp_path / "renamed")
    program = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); from renamed import ProductError, load; model = load();"
        "good, bad = model.predict([{'text': 'Red Shoe'}, {'text': 'Bag', 'top_k': 0}]);"
        "assert isinstance(bad, ProductError);"
        "print(json.dumps([good, bad.as_dict(), [name for name in sys.modules if name.startswith('handlers')]]))"
    )
    command = [sys.executable, "-I", "-c", program, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    good, bad, ours = json.loads(said)
    assert good["label"] == "Shoes" and good["model"]["name"] == "known"
    assert (bad["code"], bad["type"]) == (400, "out_of_range") and not ours
    [expected] = LocalEngine(known_archive).handler.answer([ProductFields(None, "Red Shoe", 5)], [False])
    assert good == expected
