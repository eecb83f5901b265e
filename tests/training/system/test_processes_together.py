"""Processes that train together make the steps of one process, write one run folder, and fail together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_processes import ranks, start
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from training.__main__ import main
from training.fit.loop import fit
from training.fit.objective import Objective
from training.models import MODELS
from training.models.encoders import build_image_encoder
from training.run.options import TrainOptions
from training.system.device import Device
from training.system.processes import broadcast_from_main, main_first, split_batches
from training.system.rank import is_main_process
from training.system.storage import write_text

CPU = Device("cpu", False, "test")
BATCHES = [list(range(start, min(start + 5, 36))) for start in range(0, 36, 5)]  # the last holds a single row
LIMIT = 120


def together(target: Callable[..., Any], *arguments: Any, folder: Path, count: int = 2) -> tuple[list[int | None], str]:
    """Exit statuses of ``count`` processes that train together, and the output of all except the main one."""
    logs = [folder / f"rank-{number}.log" for number in range(count)]
    processes = [
        start(target, *arguments, log=log, environment=environment)
        for log, environment in zip(logs, ranks(count), strict=True)
    ]
    for process in processes:
        process.join(LIMIT)
        process.kill()
    return [process.exitcode for process in processes], "".join(log.read_text(encoding="utf-8") for log in logs[1:])


def linear_rule() -> tuple[nn.Module, TensorDataset]:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(36, 4, generator=generator)
    network = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3))
    torch.manual_seed(2)
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    return network, TensorDataset(inputs, inputs[:, :3].argmax(1, keepdim=True))


def pairs(rows: list[tuple[Tensor, Tensor]]) -> tuple[tuple[Tensor], Tensor]:
    return (torch.stack([row for row, _ in rows]),), torch.stack([target for _, target in rows])


def fit_the_rule(out: Path, joint: bool) -> int:
    network, data = linear_rule()
    loader: DataLoader[Any] = DataLoader(data, batch_sampler=BATCHES, collate_fn=pairs)
    history = fit(
        network,
        objective=Objective(sizes=(3,), weights=(1.0,)),
        stage="test",
        optimizer=torch.optim.AdamW(network.parameters(), lr=0.02),
        epochs=3,
        train=lambda epoch: loader,
        validation=DataLoader(data, batch_size=7, collate_fn=pairs),
        device=CPU,
        together=joint,
    )
    numbers = [(epoch.loss, epoch.accuracy, epoch.macro_f1) for epoch in history]
    if is_main_process():
        torch.save({"weights": network.state_dict(), "numbers": numbers}, out)
    return 0


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    fit_the_rule(tmp_path / "one.pt", False)
    assert together(fit_the_rule, tmp_path / "two.pt", True, folder=tmp_path)[0] == [0, 0]
    one, two = (torch.load(tmp_path / name) for name in ("one.pt", "two.pt"))
    np.testing.assert_allclose(two["numbers"], one["numbers"], rtol=1e-5)
    torch.testing.assert_close(two["weights"], one["weights"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_the_shares_make_up_the_whole(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row counts once, and the mean weight over the processes is 1."""
    data = TensorDataset(torch.arange(36), torch.zeros(36))
    loader: DataLoader[Any] = DataLoader(data, batch_sampler=BATCHES)
    monkeypatch.setenv("WORLD_SIZE", str(count))
    counted, weights = [], []
    for number in range(count):
        monkeypatch.setenv("RANK", str(number))
        parts, shares = split_batches(loader)
        rows = [batch[0].tolist() for batch in parts]
        counted += [row for part, share in zip(rows, shares, strict=True) if share.weight for row in part]
        weights.append([share.weight for share in shares])
        assert [share.products for share in shares] == [len(batch) for batch in BATCHES]
    assert sorted(counted) == list(range(36))
    np.testing.assert_allclose(np.mean(weights, axis=0), 1)


def test_only_data_loaders_can_be_split() -> None:
    with pytest.raises(TypeError, match="must be a DataLoader, got list"):
        split_batches([])


def test_batch_norms_of_several_gpus_keep_a_pretrained_encoders_statistics_too() -> None:
    encoder = nn.SyncBatchNorm.convert_sync_batchnorm(build_image_encoder("efficientnet_lite0", "imagenet")).train()
    norms = [module for module in encoder.modules() if isinstance(module, nn.SyncBatchNorm)]
    assert norms and encoder.training and not any(norm.training for norm in norms)


def write_read_and_fail(folder: Path) -> int:
    draw = broadcast_from_main(lambda: np.random.default_rng().integers(10**9))
    with main_first():
        write_text(folder / "main.txt", f"{is_main_process()}")
        assert (folder / "main.txt").read_text() == "True"
    print(draw, flush=True)
    with main_first():
        if is_main_process():
            raise ValueError("only here")
    return 0


def test_helpers_read_what_the_main_process_wrote_and_end_when_it_fails(tmp_path: Path) -> None:
    statuses, helper = together(write_read_and_fail, tmp_path, folder=tmp_path)
    main_log = (tmp_path / "rank-0.log").read_text(encoding="utf-8")
    assert statuses == [1, 1]
    assert helper.split() == [main_log.split()[0]] and "only here" in main_log


def train_arguments(options: TrainOptions) -> list[str]:
    return [
        *("train", "--data", options.source.path, "--out", str(options.out), "--text-encoder", options.text_encoder),
        *("--image-encoder", "efficientnet_lite0", "--image-size", "32", "--image-epochs", "0", "--text-epochs", "2"),
        *("--head-epochs", "2", "--text-rate", "1e-3", "--batch-size", "24", "--joint-epochs", "1"),
    ]


@pytest.mark.long
def test_two_processes_leave_one_run(
    options: Callable[..., TrainOptions], tmp_path: Path, read_json: Callable[[Path], Any]
) -> None:
    """The main process trains the image head alone; all processes tune the text tower, with different dropout."""
    one, two = options(out=tmp_path / "one"), options(out=tmp_path / "two")
    alone = start(main, train_arguments(one), log=tmp_path / "alone.log")
    statuses, helper = together(main, train_arguments(two), folder=tmp_path)
    alone.join(LIMIT)
    assert (alone.exitcode, statuses) == (0, [0, 0])
    assert helper == "", "the main process alone speaks"
    files = [{str(path.relative_to(run.out)) for path in run.out.rglob("*")} for run in (one, two)]
    assert {name for name in files[0] if not name.startswith("features")} == {
        name for name in files[1] if not name.startswith("features")
    }
    assert not [name for name in files[1] if "partial" in name or name.endswith(".state")]
    records = [read_json(run.out / "run.json") for run in (one, two)]
    assert records[0]["split"] == records[1]["split"]
    assert set(records[1]["metrics"]) >= set(MODELS)
    for model, tolerance in (("image", 0.0), ("text", 0.1)):
        answers = [np.load(run.out / model / "test.npz")["probabilities"] for run in (one, two)]
        np.testing.assert_allclose(*answers, rtol=0, atol=tolerance)
        accuracies = [record["metrics"][model]["label"]["accuracy"] for record in records]
        assert abs(accuracies[0] - accuracies[1]) <= tolerance
