"""A test that CI skips holds nothing: with ``--strict-skips`` only missing hardware excuses a skip."""

import os
import re
from collections.abc import Generator

import pytest

# What only other hardware has; everything else CI installs.
HARDWARE = re.compile(r"\bGPU\b|^this CPU has no ")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--strict-skips",
        action="store_true",
        default=os.environ.get("CI") == "true",
        help="fail each test that is skipped for another reason than its hardware (default where CI=true)",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.config.getoption("strict_skips") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if report.skipped and not HARDWARE.search(reason):
            report.outcome, report.longrepr = "failed", f"skipped, which --strict-skips does not allow: {reason}"
    return report
