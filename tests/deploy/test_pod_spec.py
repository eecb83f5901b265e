"""A pod as a cluster would start it: restricted, with commands, times, memory and files that fit the code."""

import re

import pytest
import yaml
from manifests import BASE, CANARY, KSERVE, KUBERNETES, ROOT, STABLE, container, containers, pod_of, rendered, settings

from client.__main__ import main
from client.server.local_server import START_TIMEOUT
from export.archive import WORKERS

# Measured, in MiB: docs/explanation/kubernetes.md#memory.
WORKER, FRONT_END, FRONT_END_FULL, DECODED = 776, 264, 2400, 425
every_pod = pytest.mark.parametrize("folder", (STABLE, CANARY, KSERVE))


@every_pod
def test_every_container_is_restricted(folder: str) -> None:
    """As Pod Security's profile "restricted" asks; the namespace enforces it."""
    pod = pod_of(rendered(folder))
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for each in containers(pod):
        security = each["securityContext"]
        assert security["allowPrivilegeEscalation"] is False and security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert set(each["resources"]) == {"requests", "limits"}
        assert re.fullmatch(r".+:[\w.-]+", each["image"]) and not each["image"].endswith(":latest")
    assert pod["automountServiceAccountToken"] is False
    assert {kind for volume in pod["volumes"] for kind in volume if kind != "name"} <= {
        "configMap",
        "secret",
        "emptyDir",
    }


@every_pod
def test_probes_are_commands_of_the_client(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    server = container(pod_of(rendered(folder)), "server")
    probes = {name: server[name]["exec"]["command"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert probes["startupProbe"] == probes["readinessProbe"] == ["python", "-m", "client", "ready"]
    assert probes["livenessProbe"] == ["python", "-m", "client", "alive"]
    for command in (*probes.values(), server["command"]):
        assert command[:3] == ["python", "-m", "client"]
        with pytest.raises(SystemExit) as ended:
            main([command[3], "--help"])
        assert ended.value.code == 0
        said = capsys.readouterr().out
        assert not [word for word in command[4:] if word.startswith("--") and word not in said]


@every_pod
def test_a_start_has_the_time_that_it_may_take(folder: str) -> None:
    server = container(pod_of(rendered(folder)), "server")
    probe = server["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] > START_TIMEOUT
    assert server["restartPolicy"] == "Always"  # a sidecar: the proxy starts when it has started, and ends before it


def seconds(text: str, name: str) -> int:
    found = re.search(rf"{name} (\d+)s?;", text)
    assert found is not None, name
    return int(found[1])


@every_pod
def test_a_pod_has_the_time_to_answer_what_it_holds(folder: str) -> None:
    pod, nginx = pod_of(rendered(folder)), (BASE / "nginx.conf").read_text(encoding="utf-8")
    leaving = seconds(nginx, "worker_shutdown_timeout")
    assert leaving >= seconds(nginx, "client_body_timeout") + seconds(nginx, "proxy_read_timeout")
    pause = re.search(
        r"^sleep (\d+);", container(pod, pod["containers"][0]["name"])["lifecycle"]["preStop"]["exec"]["command"][-1]
    )
    command = container(pod, "server")["command"]
    drain = int(command[command.index("--drain") + 1])
    assert pause is not None
    assert pod["terminationGracePeriodSeconds"] >= int(pause[1]) + leaving + drain


def mib(quantity: str) -> float:
    return float(quantity[:-2]) * {"Mi": 1, "Gi": 1024}[quantity[-2:]]


@every_pod
def test_memory_and_cores_fit_the_workers(folder: str) -> None:
    resources = container(pod_of(rendered(folder)), "server")["resources"]
    assert mib(resources["requests"]["memory"]) >= FRONT_END + WORKERS * WORKER
    assert mib(resources["limits"]["memory"]) >= FRONT_END_FULL + WORKERS * (WORKER + DECODED)
    assert int(resources["limits"]["cpu"]) == int(resources["requests"]["cpu"]) >= WORKERS


def test_the_page_has_the_measured_figures() -> None:
    page = (ROOT / "docs" / "explanation" / "kubernetes.md").read_text(encoding="utf-8")
    table = page.split("## Memory")[1].split("\n## ")[0]
    for figure in (WORKER, FRONT_END, FRONT_END_FULL, DECODED):
        assert f" {figure:,} " in table


@every_pod
def test_every_volume_is_there(folder: str) -> None:
    manifests = rendered(folder)
    pod = pod_of(manifests)
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for each in containers(pod) for mount in each["volumeMounts"]} == set(volumes)
    files = {each["metadata"]["name"]: set(each["data"]) for each in manifests if each["kind"] == "ConfigMap"}
    for each in containers(pod):
        for mount in each["volumeMounts"]:
            if "configMap" in volumes[mount["name"]]:
                assert mount["subPath"] in files[volumes[mount["name"]]["configMap"]["name"]]
                assert mount["mountPath"].endswith(f"/{mount['subPath']}")


@every_pod
def test_the_server_finds_archives_state_and_configuration(folder: str) -> None:
    pod, config = pod_of(rendered(folder)), settings(BASE / "config.properties")
    server, archives = container(pod, "server"), container(pod, "archives")
    mounts = {mount["mountPath"]: mount for mount in server["volumeMounts"]}
    store = f"/app/{config['model_store']}"
    assert mounts[store]["readOnly"] and archives["command"][-1] == store
    assert [mount["name"] for mount in archives["volumeMounts"]] == [mounts[store]["name"]]
    [state] = [each["value"] for each in server["env"] if each["name"] == "STATE_DIRECTORY"]
    assert not mounts[state].get("readOnly") and mounts["/app/config.properties"]["readOnly"]
    built = (KUBERNETES / "archives.Containerfile").read_text(encoding="utf-8")
    assert f"ARG ARCHIVES={config['load_models']}\n" in built
    assert f"COPY ${{ARCHIVES}} {archives['command'][2].removesuffix('.')}\n" in built


@every_pod
def test_the_secret_is_named_and_never_rendered(folder: str) -> None:
    manifests = rendered(folder)
    example = yaml.safe_load((KUBERNETES / "secret.example.yaml").read_text(encoding="utf-8"))
    assert not [each for each in manifests if each["kind"] == "Secret"]
    pod = pod_of(manifests)
    [tokens] = [volume for volume in pod["volumes"] if "secret" in volume]
    assert tokens["secret"]["secretName"] == example["metadata"]["name"]
    [mount] = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == tokens["name"]]
    [file] = example["stringData"]
    assert f"include {mount['mountPath']}/{file};" in (BASE / "nginx.conf").read_text(encoding="utf-8")
    assert all(line.strip().startswith("#") for line in example["stringData"][file].splitlines())
