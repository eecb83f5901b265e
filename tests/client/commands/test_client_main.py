"""The command line: what people read, what machines read, and the exit status."""

import errno
import functools
import io
import json
import os
from pathlib import Path

import httpx
import pytest
from fake_torchserve import FakeTorchServe, write_archive
from PIL import Image

from client.__main__ import main
from client.api.management import Management
from client.archives.model_store import ModelStore
from client.rollout.rollout import Rollout
from client.server import local_server


@pytest.fixture
def config(tmp_path: Path, serving: FakeTorchServe, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose server is the fake one."""
    path = tmp_path / "config.properties"
    path.write_text("load_models=intermediate.mar\n")
    real = httpx.Client

    def faked(**options: object) -> httpx.Client:
        return real(**{**options, "transport": serving.transport})  # type: ignore[arg-type]

    monkeypatch.setattr(httpx, "Client", faked)
    monkeypatch.setattr("client.commands.session.Rollout", functools.partial(Rollout, drain_grace=0))
    return path


def run(config: Path, *arguments: str) -> int:
    return main(["--config", str(config), *arguments])


def test_a_prediction_is_drawn(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "predict", "--text", "Blue Shoes") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Shoes  80.0%"
    assert lines[1].startswith("  Shoes    80.0%  ████") and lines[2].startswith("  Shirts   10.0%  █")
    assert lines[-1] == "  read text; answered by intermediate 1.0 on fake"


def test_a_prediction_for_machines_is_the_servers_answer(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "predict", "--text", "Blue Shoes", "--json", "--top-k", "1") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["label"] == "Shoes" and answer["top"] == [{"label": "Shoes", "score": 0.8}]


def test_several_pictures_are_answered_one_by_one(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a b.jpg", "c.jpg"):
        (tmp_path / name).write_bytes(b"picture")
    names = [str(tmp_path / name) for name in ("a b.jpg", "gone.jpg", "c.jpg")]
    assert run(config, "predict", names[0], "--image", *names[1:]) == 1
    captured = capsys.readouterr()
    assert captured.out.count(".jpg: Shirts  80.0%") == 2 and captured.out.startswith(names[0])
    assert "gone.jpg: the picture cannot be read" in captured.err
    assert captured.err.endswith("error: 1 of 3 pictures have no answer\n")
    assert run(config, "predict", "--json", names[0], names[2]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(answer["file"], answer["label"]) for answer in answers] == [(names[0], "Shirts"), (names[2], "Shirts")]


@pytest.mark.parametrize(("content", "status"), [(b"picture", 0), (b"", 1)])
def test_a_picture_comes_from_standard_input(
    config: Path, serving: FakeTorchServe, monkeypatch: pytest.MonkeyPatch, content: bytes, status: int
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert run(config, "predict", "-", "--text", "Blue Shoes") == status
    assert (b"picture" in serving.requests[-1].content) if content else not serving.requests


def test_a_photograph_is_sent_smaller_if_that_is_asked_for(
    config: Path, serving: FakeTorchServe, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (8192, 5464), "navy").save(photo)
    assert run(config, "predict", "--shrink", str(photo)) == 0
    assert 0 < len(serving.requests[-1].content) < photo.stat().st_size
    assert run(config, "predict", str(photo)) == 0
    assert photo.read_bytes() in serving.requests[-1].content


def test_versions_are_listed(config: Path, management: Management, capsys: pytest.CaptureFixture[str]) -> None:
    management.register("intermediate-2.0.mar")
    assert run(config, "versions") == 0
    assert capsys.readouterr().out.splitlines() == [
        "intermediate  1.0  default  1 of 1 READY  0 waiting  intermediate.mar",
        "intermediate  2.0           1 of 1 READY  0 waiting  intermediate-2.0.mar",
    ]
    assert run(config, "versions", "intermediate", "--json") == 0
    assert [entry["default"] for entry in json.loads(capsys.readouterr().out)] == [True, False]


def test_versions_say_what_a_start_would_load(
    config: Path, management: Management, store: ModelStore, capsys: pytest.CaptureFixture[str]
) -> None:
    write_archive(store.folder, "late", "1.0", default=True)
    management.register("late.mar")
    assert run(config, "versions") == 0
    assert capsys.readouterr().err == "A start of the server would load: intermediate 1.0\n"
    management.register("intermediate-2.0.mar")
    management.set_default("intermediate", "2.0")
    assert run(config, "versions") == 0
    warning = "warning: a start of the server would load intermediate 1.0, not 2.0; "
    assert f"{warning}`python -m client switch intermediate 2.0` changes that" in capsys.readouterr().err
    assert run(config, "versions", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert {entry["version"]: entry["at_start"] for entry in shown if entry["default"]} == {"2.0": False, "1.0": False}
    config.write_text("load_models=late.mar,intermediate-1.0.mar\n")
    assert run(config, "switch", "intermediate", "2.0") == 0
    assert f"{warning}let load_models in config.properties name intermediate.mar" in capsys.readouterr().err
    config.write_text("load_models=late.mar,intermediate=intermediate.mar\n")
    assert run(config, "versions") == 0
    assert capsys.readouterr().err == "A start of the server would load: late 1.0, intermediate 2.0\n"


def test_a_switch_and_the_way_back(config: Path, serving: FakeTorchServe, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "switch", "intermediate", "2.0") == 0
    assert "set-default: intermediate 2.0 is the default version" in capsys.readouterr().out
    assert run(config, "rollback", "intermediate") == 0
    assert serving.defaults == {"intermediate": "1.0"}


def test_a_dry_run_changes_nothing(config: Path, serving: FakeTorchServe, capsys: pytest.CaptureFixture[str]) -> None:
    sample = config.parent / "sample.csv"
    sample.write_text("text\nBlue Shoes\nRed Shirts\n")
    assert run(config, "switch", "intermediate", "2.0", "--sample", str(sample), "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "would register intermediate-2.0.mar with 1 worker(s) beside 1.0" in shown and "2 sample products" in shown
    assert list(serving.models["intermediate"]) == ["1.0"]
    assert run(config, "switch", "intermediate", "2.0", "--sample", str(sample), "--sample-size", "1") == 0
    assert "sample: 1 products, 100.0% of the answers agree" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--min-agreement", "95"], ["--min-agreement", "all"], ["--sample-size", "0"]])
def test_a_sample_has_limits(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["switch", "intermediate", "2.0", *option])
    assert repr(option[1]) in capsys.readouterr().err


def test_readiness_is_an_exit_status(config: Path, serving: FakeTorchServe, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(config, "ready") == 0
    serving.models["intermediate"]["1.0"].workers = ["UNLOADING"]
    assert run(config, "ready", "intermediate") == 1
    serving.models.clear()
    assert run(config, "ready") == 1
    assert "no model is registered" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict"], "--image FILE, --text TITLE"),
        (["predict", "--image", "missing.jpg"], "missing.jpg: the picture cannot be read"),
        (["predict", "--text", "x", "--model", "nope"], "Model not found: nope"),
        (["predict", "."], "is a folder: name its pictures"),
        (["predict", "--image", "."], "python -m client score FOLDER"),
        (["predict", "--shrink", "."], "is a folder: name its pictures"),
        (["predict", "products.csv"], "python -m client score FILE"),
        (["predict", "a.jpg", "b.jpg", "--text", "x"], "--text is the title of one product"),
        (["predict", "-", "-"], "name - once"),
        (["register", "nope.mar"], "nope.mar does not exist"),
        (["switch", "intermediate", "3.0"], "make archive MODEL=intermediate VERSION=3.0"),
        (["retire", "intermediate", "1.0"], "is the default version"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    config: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(config, *arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1 and message in captured.err


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.EACCES, "let this user"),
        (errno.EROFS, "let this user"),
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.ENOTDIR, "a file lies where a folder is needed"),
        (errno.ENOENT, "is not there"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EIO, "look at that path"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(
    config: Path, number: int, mend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), b"/some/path")

    monkeypatch.setattr(local_server, "start", refuse)
    assert run(config, "serve") == 1
    message = capsys.readouterr().err
    assert message.startswith(f"error: /some/path: {os.strerror(number)}; ") and mend in message
    assert message.count("\n") == 1


@pytest.mark.parametrize("blocked", [".torchserve", "logs"])
def test_a_file_where_the_server_needs_a_folder(
    config: Path, store: ModelStore, blocked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local_server, "_taken", lambda host, port: None)
    (config.parent / blocked).write_text("a file")
    assert run(config, "serve") == 1
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith("error: ") and str(config.parent / blocked) in message and "folder" in message


def test_no_server_has_an_exit_status_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.properties"
    path.write_text("inference_address=http://127.0.0.1:1\nmanagement_address=http://127.0.0.1:1\n")
    assert main(["--config", str(path), "predict", "--text", "x"]) == 3
    assert "no server answers at http://127.0.0.1:1" in capsys.readouterr().err


def test_no_configuration_says_where_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none"), "versions"]) == 1
    assert "run in the project's root" in capsys.readouterr().err


def test_wrong_arguments_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["predict", "--colour", "red"])
    assert "--colour" in capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("serve", "stop", "ready", "predict", "versions", "register", "switch"))


def test_a_token_is_printed_alone(config: Path, serving: FakeTorchServe, capsys: pytest.CaptureFixture[str]) -> None:
    keys = json.loads(serving.key_file.read_text(encoding="utf-8"))
    for api in ("inference", "management"):
        assert run(config, "token", "--api", api) == 0
        assert capsys.readouterr().out == keys[api]["key"] + "\n"
    assert run(config, "token") == 0
    assert capsys.readouterr().out == keys["inference"]["key"] + "\n"


def test_a_token_is_waited_for_where_the_server_has_just_been_started(
    config: Path, serving: FakeTorchServe, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = serving.key_file.read_text(encoding="utf-8")
    serving.key_file.unlink()
    monkeypatch.setattr("client.api.tokens.time.sleep", lambda _: serving.key_file.write_text(written))
    assert run(config, "token") == 0
    assert capsys.readouterr().out.strip() == json.loads(written)["inference"]["key"]


def test_a_token_that_is_not_there_is_a_sentence(
    config: Path, serving: FakeTorchServe, capsys: pytest.CaptureFixture[str]
) -> None:
    serving.key_file.unlink()
    assert run(config, "token", "--timeout", "0") == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert "key_file.json does not exist" in captured.err and "with `make serve`" in captured.err


def test_options_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    for shortened in (["--conf", "x", "stop"], ["predict", "--tex", "x"], ["switch", "a", "2.0", "--dry"]):
        with pytest.raises(SystemExit, match="2"):
            main(shortened)
        assert next(each for each in shortened if each.startswith("--")) in capsys.readouterr().err
