"""The alerts: Prometheus reads them, each one fires where it should, and stays silent on a usual week.

The units are run by ``promtool``, which comes with Prometheus.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from test_architecture import ROOT

RULES, CONFIG, METRICS = (ROOT / "deploy" / name for name in ("prometheus-rules.yml", "prometheus.yml", "metrics.yaml"))
PROMTOOL = shutil.which("promtool")
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
WEEK = 7 * 24 * 4  # quarters of an hour
MODEL = 'model_name="late",model_version="1.0"'
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: apt install prometheus")


def promtool(*arguments: str) -> str:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_prometheus_reads_them() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", "--lint-fatal", str(RULES))
    promtool("check", "config", str(CONFIG))


def series(name: str, before: float, after: float, *, start: int = WEEK, **labels: str) -> dict[str, str]:
    """A counter that grows by ``before`` in each quarter of an hour, and from ``start`` on, for a day, by ``after``."""
    further = "".join(f',{key}="{value}"' for key, value in labels.items())
    first = before * start
    return {
        "series": f"{name}{{{MODEL}{further}}}",
        "values": f"0+{before:g}x{start} {first + after:g}+{after:g}x95",
    }


def usual(after: float = 1.0, **changes: list[dict[str, str]]) -> list[dict[str, str]]:
    """A week of 100 products in a quarter of an hour, then a day of ``after`` times as many."""
    kinds = {
        "items": [
            series("product_items_total", 90, 90 * after, code="200", modality="both", api="predictions"),
            series("product_items_total", 10, 10 * after, code="200", modality="text", api="predictions"),
            series("product_items_total", 2, 2 * after, code="415", modality="none", api="predictions"),
            series("product_items_total", 0, 0, code="500", modality="none", api="predictions"),
        ],
        "labels": [series("product_labels_total", 50, 50 * after, label=label) for label in ("Bags", "Shoes")],
        "reviews": [series("product_reviews_total", 5, 5 * after)],
        "scores": [
            series("product_score_bucket", 10, 10 * after, le="0.8"),
            series("product_score_bucket", 100, 100 * after, le="+Inf"),
        ],
        "requests": [
            series("Requests2XX", 100, 100 * after, Level="Host"),
            series("Requests5XX", 0, 0, Level="Host"),
            series("ts_queue_latency_microseconds", 1e5, 1e5 * after),
            series("ts_inference_requests_total", 100, 100 * after),
        ],
        "up": [{"series": 'up{job="torchserve",instance="here"}', "values": f"1x{WEEK + 96}"}],
        "exits": [{"series": f"product_exits_open{{{MODEL}}}", "values": f"1x{WEEK + 96}"}],
    }
    return [each for kind in (kinds | changes).values() for each in kind]


CHANGED: dict[str, dict[str, list[dict[str, str]]]] = {
    "ProductServerDown": {"up": [{"series": 'up{job="torchserve",instance="here"}', "values": f"1x{WEEK} 0x96"}]},
    "ProductServerErrors": {
        "items": [
            series("product_items_total", 100, 97, code="200", modality="both"),
            series("product_items_total", 0, 3, code="500", modality="none"),
        ]
    },
    "ProductServerRefuses": {
        "requests": [series("Requests2XX", 100, 97), series("Requests5XX", 0, 3)],
    },
    "ProductQueueSlow": {
        "requests": [
            series("ts_queue_latency_microseconds", 1e5, 2e8),
            series("ts_inference_requests_total", 100, 100),
        ]
    },
    "ProductExitsShut": {"exits": [{"series": f"product_exits_open{{{MODEL}}}", "values": f"1x{WEEK} 0x96"}]},
    "ProductsRejected": {
        "items": [
            series("product_items_total", 100, 70, code="200", modality="both"),
            series("product_items_total", 0, 30, code="422", modality="none"),
        ]
    },
    "ProductLabelsMoved": {
        "labels": [
            series("product_labels_total", 50, 20, label="Bags"),
            series("product_labels_total", 50, 50, label="Shoes"),
            series("product_labels_total", 0, 30, label="Ties"),
        ]
    },
    "ProductReviewsMoved": {"reviews": [series("product_reviews_total", 5, 15)]},
    "ProductScoresMoved": {
        "scores": [
            series("product_score_bucket", 10, 30, le="0.8"),
            series("product_score_bucket", 100, 100, le="+Inf"),
        ]
    },
    "ProductModalitiesMoved": {
        "items": [
            series("product_items_total", 90, 60, code="200", modality="both"),
            series("product_items_total", 10, 40, code="200", modality="text"),
        ]
    },
}


def require_firing(folder: Path, content: list[dict[str, str]], *names: str, minutes: int = 15) -> None:
    """Let promtool compare the alerts that fire 48 steps after the week.

    Args:
        minutes: of a step; the "week" is shorter with fewer.
    """
    check = {
        "eval_time": f"{minutes * (WEEK + 48)}m",
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names],
    }
    unit = {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{minutes}m",
        "tests": [{"interval": f"{minutes}m", "input_series": content, "promql_expr_test": [check]}],
    }
    path = folder / "unit.yml"
    path.write_text(yaml.safe_dump(unit), encoding="utf-8")
    promtool("test", "rules", str(path))


@pytest.mark.slow
@needs_promtool
@pytest.mark.parametrize("after", [1.0, 20.0, 0.1])
def test_a_usual_week_is_silent_and_so_is_a_busy_or_a_quiet_day(tmp_path: Path, after: float) -> None:
    require_firing(tmp_path, usual(after))


@pytest.mark.slow
@needs_promtool
@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_fires_alone(tmp_path: Path, name: str) -> None:
    is_quick = "5m" in ALERTS[name]["expr"]
    require_firing(tmp_path, usual(**CHANGED[name]), name, minutes=1 if is_quick else 15)


@pytest.mark.slow
@needs_promtool
@pytest.mark.parametrize("name", ["ProductLabelsMoved", "ProductReviewsMoved", "ProductScoresMoved"])
def test_a_few_products_raise_no_alarm(tmp_path: Path, name: str) -> None:
    """A tenth of the usual: 240 in six hours."""
    few = [
        {**each, "values": re.sub(r"0\+([\d.]+)x(\d+) ([\d.]+)\+([\d.]+)x", _tenth, each["values"])}
        for each in usual(**CHANGED[name])
    ]
    require_firing(tmp_path, [each for each in few if "Requests" not in each["series"]])


def _tenth(found: re.Match[str]) -> str:
    before, count, first, after = (float(each) for each in found.groups())
    return f"0+{before / 10:g}x{count:.0f} {first / 10:g}+{after / 10:g}x"


def test_each_alert_says_what_to_do() -> None:
    assert set(CHANGED) == set(ALERTS)
    for rule in ALERTS.values():
        assert rule["labels"]["severity"] in ("page", "ticket") and rule["for"]
        assert {"summary", "action"} <= set(rule["annotations"])


def test_expressions_use_what_is_declared() -> None:
    declared = yaml.safe_load(METRICS.read_text(encoding="utf-8"))
    names = {entry["name"] for group in declared.values() for kind in group.values() for entry in kind} | {"up"}
    used = {
        word
        for rule in ALERTS.values()
        for word in re.findall(r"\b(up|product_\w+|ts_\w+|Requests\w+)\b", rule["expr"])
    }
    assert len(used) > 8 and used <= names
    assert CONFIG.with_name("prometheus-rules.yml") == RULES
    assert yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["rule_files"] == [RULES.name]
