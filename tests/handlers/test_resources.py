"""The cores and the memory that a process may use, from the files of control groups as containers show them."""

import os
from pathlib import Path

import pytest

from handlers.product_serving.resources import memory_limit, usable_cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("cgroup", "files", "cores"),
    [
        pytest.param("0::/", {"cpu.max": "max 100000"}, 8, id="version 2 without a quota"),
        pytest.param("0::/", {"cpu.max": "250000 100000"}, 2, id="version 2, a container's own top"),
        pytest.param("0::/", {"cpu.max": "50000 100000"}, 1, id="half a core is one thread"),
        pytest.param("0::/", {"cpu.max": "1600000 100000"}, 8, id="a quota above the affinity"),
        pytest.param("0::/a.slice/b.service", {"a.slice/b.service/cpu.max": "300000 100000"}, 3, id="a unit"),
        pytest.param(
            "0::/a.slice/b.service",
            {"a.slice/b.service/cpu.max": "max 100000", "a.slice/cpu.max": "400000 100000"},
            4,
            id="the slice above a unit",
        ),
        pytest.param("0::/host/path/of/a/pod", {"cpu.max": "200000 100000"}, 2, id="a path that is only on the host"),
        pytest.param(
            "9:name=systemd:/\n4:cpuset:/\n3:cpu,cpuacct:/docker/1",
            {"cpu,cpuacct/cpu.cfs_quota_us": "150000", "cpu,cpuacct/cpu.cfs_period_us": "50000"},
            3,
            id="version 1",
        ),
        pytest.param(
            "3:cpu:/",
            {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
            8,
            id="version 1 without a quota",
        ),
        pytest.param("0::/", {"cpu.max": "broken"}, 8, id="a file that is no quota"),
    ],
)
def test_threads_follow_the_quota(cgroup: str, files: dict[str, str], cores: int, tmp_path: Path) -> None:
    write_groups(tmp_path, cgroup, files)
    assert usable_cores(tmp_path) == cores


@pytest.mark.parametrize(
    ("cgroup", "files", "limit"),
    [
        pytest.param("0::/", {"memory.max": "max"}, None, id="version 2 without a limit"),
        pytest.param("0::/a/b", {"a/memory.max": "4096", "a/b/memory.max": "max"}, 4096, id="the slice above a unit"),
        pytest.param("4:memory:/a", {"memory/a/memory.limit_in_bytes": "8192"}, 8192, id="version 1"),
        pytest.param("4:memory:/", {"memory/memory.limit_in_bytes": str(2**63 - 4096)}, None, id="version 1 without"),
        pytest.param("3:cpu:/", {"cpu/memory.limit_in_bytes": "1"}, None, id="another controller's group"),
    ],
)
def test_the_limit_of_memory(cgroup: str, files: dict[str, str], limit: int | None, tmp_path: Path) -> None:
    write_groups(tmp_path, cgroup, files)
    assert memory_limit(tmp_path) == limit


def write_groups(root: Path, cgroup: str, files: dict[str, str]) -> None:
    for name, content in {"proc/self/cgroup": cgroup, **{f"sys/fs/cgroup/{n}": c for n, c in files.items()}}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n", encoding="ascii")


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cores(tmp_path) == 8
