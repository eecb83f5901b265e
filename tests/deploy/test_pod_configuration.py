"""The pod's configuration of nginx, TorchServe and the autoscaler: what differs from the files outside a pod."""

import difflib
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests import BASE, KUBERNETES, ROOT, directives, settings

from client.server.config import read_config

PROMTOOL = shutil.which("promtool")
PROXY = (BASE / "nginx.conf").read_text(encoding="utf-8")
LOG = "$time_iso8601 $remote_addr{} $request_method $uri $status $request_length $request_time $upstream_response_time"
MESSAGES = {
    401: (
        "send the inference token: Authorization: Bearer TOKEN",
        "send a token of this service: Authorization: Bearer TOKEN",
    ),
    429: (
        "too many requests or connections from this address; wait and send fewer at once",
        "too many requests or connections with this token; wait and send fewer at once",
    ),
}
# Lines of deploy/nginx.conf that the pod's file lacks, and those that it has instead. The ports of metrics are apart.
REMOVED = [
    "user www-data;",
    "worker_processes auto;",
    "pid /run/nginx.pid;",
    "error_log /var/log/nginx/error.log warn;",
    f"log_format line escape=json '{LOG.format('')}';",
    "access_log /var/log/nginx/access.log line;",
    "limit_req_zone $binary_remote_addr zone=requests:10m rate=50r/s;",
    "limit_conn_zone $binary_remote_addr zone=connections:10m;",
    *(f'{code} "{outside}";' for code, (outside, _) in MESSAGES.items()),
    "listen 443 ssl default_server;",
    "ssl_certificate /etc/ssl/certs/products.pem;",
    "ssl_certificate_key /etc/ssl/private/products.key;",
    "ssl_protocols TLSv1.2 TLSv1.3;",
    "ssl_session_cache shared:tls:10m;",
    "ssl_session_timeout 1h;",
    "ssl_session_tickets off;",
    "error_page 495 496 497 =400 /error.json;",
    'if ($http_authorization !~ "^Bearer [A-Za-z0-9_.~+/=-]{1,500}$") {',
    *("limit_req zone=requests burst=100 nodelay;", "limit_conn connections 32;") * 2,
]
ADDED = [
    "worker_processes 2;",
    "pid /tmp/nginx.pid;",
    "error_log /dev/stderr warn;",
    "worker_shutdown_timeout 75s;",
    *(f"{name}_temp_path /tmp/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")),
    f"log_format line escape=json '{LOG.format(' $caller')}';",
    "access_log /dev/stdout line;",
    "map_hash_bucket_size 256;",
    "map_hash_max_size 4096;",
    "map $http_authorization $caller {",
    "include /etc/nginx/tokens/tokens.conf;",
    'default "";',
    "}",
    "limit_req_zone $caller zone=requests:10m rate=2000r/s;",
    "limit_conn_zone $caller zone=connections:10m;",
    *(f'{code} "{inside}";' for code, (_, inside) in MESSAGES.items()),
    "listen 8000 default_server;",
    'proxy_set_header Authorization "";',
    'rewrite "^/v1/models/([A-Za-z0-9_.-]{1,100}):predict$" /predictions/$1;',
    'rewrite "^/v1/models/([A-Za-z0-9_.-]{1,100}):explain$" /explanations/$1;',
    'if ($caller = "") {',
    *("limit_req zone=requests burst=1000 nodelay;", "limit_conn connections 128;") * 2,
]


def test_the_pods_proxy_differs_as_intended() -> None:
    outside = directives((ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8"))
    before_metrics = PROXY.split("# --- Metrics")[0] + "}"  # closes http
    changes = list(difflib.ndiff(outside, directives(before_metrics)))
    assert [line[2:] for line in changes if line.startswith("- ")] == REMOVED
    assert [line[2:] for line in changes if line.startswith("+ ")] == ADDED


def test_the_pods_torchserve_differs_in_its_tokens_alone() -> None:
    outside, inside = settings(ROOT / "config.properties"), settings(BASE / "config.properties")
    assert inside == {**outside, "disable_token_authorization": "true"}
    assert outside["disable_token_authorization"] == "false"


def test_the_pods_torchserve_can_start(tmp_path: Path) -> None:
    """As `client serve` checks it."""
    (tmp_path / "model_store").mkdir()
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    shutil.copy(BASE / "config.properties", tmp_path)
    read_config(tmp_path / "config.properties").require_usable()


def test_the_proxy_asks_the_servers_own_ports() -> None:
    config = settings(BASE / "config.properties")
    assert f"server {config['inference_address'].removeprefix('http://')} max_conns=200;" in PROXY
    assert f"proxy_pass {config['metrics_address']};" in PROXY
    assert config["management_address"].rpartition(":")[2] not in PROXY
    for key in ("inference_address", "management_address", "metrics_address"):
        assert config[key].startswith("http://127.0.0.1:")
    assert {config["grpc_inference_address"], config["grpc_management_address"]} == {"127.0.0.1"}


def adapter_rule() -> dict[str, Any]:
    values = yaml.safe_load((KUBERNETES / "prometheus-adapter.yaml").read_text(encoding="utf-8"))
    [rule] = values["rules"]["custom"]
    return rule  # type: ignore[no-any-return]


def test_the_autoscalers_metric_is_made_of_one_that_the_server_has() -> None:
    metrics = yaml.safe_load((ROOT / "deploy" / "metrics.yaml").read_text(encoding="utf-8"))
    series = re.match(r"\w+", adapter_rule()["seriesQuery"])
    assert series is not None and series[0] in {each["name"] for each in metrics["ts_metrics"]["counter"]}
    scaler = yaml.safe_load((BASE / "horizontal-pod-autoscaler.yaml").read_text(encoding="utf-8"))
    names = [each["pods"]["metric"]["name"] for each in scaler["spec"]["metrics"] if each["type"] == "Pods"]
    assert names == [adapter_rule()["name"]["as"]]


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: apt install prometheus")
def test_the_autoscalers_metric_is_the_mean_number_that_waits(tmp_path: Path) -> None:
    """By Prometheus: 100 requests a second that wait 80 ms each are 8 that wait; a pod without requests has 0."""
    assert PROMTOOL is not None
    rule, labels = adapter_rule(), 'namespace="shop",pod=~"a|b"'
    query = rule["metricsQuery"]
    for name, value in ((".GroupBy", "namespace,pod"), (".Series", "waited"), (".LabelMatchers", labels)):
        assert f"<<{name}>>" in query
        query = query.replace(f"<<{name}>>", value)
    step = 15 * 100 * 80_000  # microseconds of waiting between two scrapes
    series = {
        'waited{namespace="shop",pod="a",model_version="1.0"}': f"0+{step // 4}x20",
        'waited{namespace="shop",pod="a",model_version="default"}': f"0+{3 * step // 4}x20",
        'waited{namespace="shop",pod="b",model_version="default"}': "5000000+0x20",
        'waited{namespace="other",pod="a",model_version="default"}': "0+1000000x20",
    }
    expected = [{"labels": f'{{namespace="shop", pod="{pod}"}}', "value": value} for pod, value in (("a", 8), ("b", 0))]
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": query, "eval_time": "5m", "exp_samples": expected}],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "15s", "tests": [test]}), encoding="utf-8")
    result = subprocess.run([PROMTOOL, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
