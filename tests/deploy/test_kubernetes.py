"""The manifests as a cluster would get them: valid in three versions of the API, and at one with each other."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests import (
    BASE,
    CANARY,
    KSERVE,
    KUBERNETES,
    ROUTE,
    STABLE,
    Manifest,
    container,
    containers,
    one,
    pod_of,
    render,
    rendered,
)

PODS = (STABLE, CANARY, KSERVE)
# The oldest with sidecars, the newest that is known, and one between.
VERSIONS = ("1.29", "1.33", "1.37")
WITH_IMAGE_VOLUMES = ("1.35", "1.37")
OTHER_APIS = ("InferenceService", "HTTPRoute")  # kubernetes-validate has no schema of theirs
every_pod = pytest.mark.parametrize("folder", PODS)


def schemas() -> Any:
    return pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate: make setup")


def check(manifests: tuple[Manifest, ...], version: str) -> None:
    for manifest in manifests:
        if manifest["kind"] not in OTHER_APIS:
            schemas().validate(manifest, version, strict=True)


@every_pod
@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_of_the_api_knows_every_field(folder: str, version: str) -> None:
    check(rendered(folder), version)


def test_an_unknown_field_would_be_found() -> None:
    service = one(rendered(STABLE), "Service")
    with pytest.raises(schemas().ValidationError):
        schemas().validate({**service, "spec": {**service["spec"], "nonsense": 1}}, VERSIONS[0], strict=True)


def test_examples_and_base_are_valid_as_written() -> None:
    for file in (KUBERNETES / "secret.example.yaml", *BASE.glob("*.yaml")):
        manifest = yaml.safe_load(file.read_text(encoding="utf-8"))
        if manifest["kind"] not in ("Kustomization", "Deployment"):  # without its selector, which an overlay gives
            check((manifest,), VERSIONS[-1])


def test_components_change_what_they_say(tmp_path: Path) -> None:
    shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    file = tmp_path / "kubernetes" / STABLE / "kustomization.yaml"
    text = file.read_text(encoding="utf-8")
    assert "# Choose: components:" in text
    file.write_text(text.replace("# Choose: components:", "components:"), encoding="utf-8")
    manifests = render(file.parent)
    for version in WITH_IMAGE_VOLUMES:
        check(manifests, version)
    pod = pod_of(manifests)
    assert [each["name"] for each in pod["initContainers"]] == ["server"]
    archives = next(volume for volume in pod["volumes"] if volume["name"] == "archives")
    copied = container(pod_of(rendered(STABLE)), "archives")
    assert archives == {"name": "archives", "image": {"reference": copied["image"], "pullPolicy": "IfNotPresent"}}
    limits = container(pod, "server")["resources"]
    assert limits["limits"]["nvidia.com/gpu"] == limits["requests"]["nvidia.com/gpu"] == "1"


def test_the_namespace_enforces_it() -> None:
    labels = one(rendered(STABLE), "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def ports(pod: Manifest) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in pod["containers"][0]["ports"]}


@every_pod
def test_ports_are_those_that_nginx_listens_on(folder: str) -> None:
    manifests = rendered(folder)
    pod = pod_of(manifests)
    listening = re.findall(r"listen (\d+) default_server;", (BASE / "nginx.conf").read_text(encoding="utf-8"))
    assert list(ports(pod).values()) == [int(port) for port in listening]
    assert not any("ports" in each for each in containers(pod) if each is not pod["containers"][0])
    policy = one(manifests, "NetworkPolicy")["spec"]
    callers, monitoring = policy["ingress"]
    assert [each["port"] for each in callers["ports"] + monitoring["ports"]] == list(ports(pod)) == ["http", "metrics"]
    assert monitoring["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    assert callers["from"] and policy["egress"] == [] and policy["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize("folder", [STABLE, CANARY])
def test_services_and_scrapes_find_their_ports(folder: str) -> None:
    manifests = rendered(folder)
    known = ports(pod_of(manifests))
    [port] = one(manifests, "Service")["spec"]["ports"]
    assert port["targetPort"] == "http" and known["http"]
    annotations = one(manifests, "Deployment")["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(known["metrics"])
    assert annotations["prometheus.io/path"] == "/metrics"


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return bool(selector) and selector.items() <= labels.items()


def test_selectors_find_their_own_pods_alone() -> None:
    labels = {
        folder: one(rendered(folder), "Deployment")["spec"]["template"]["metadata"]["labels"]
        for folder in (STABLE, CANARY)
    }
    for folder, other in ((STABLE, CANARY), (CANARY, STABLE)):
        manifests = rendered(folder)
        spec = one(manifests, "Deployment")["spec"]
        [spread] = spec["template"]["spec"]["topologySpreadConstraints"]
        found = [
            spec["selector"]["matchLabels"],
            one(manifests, "Service")["spec"]["selector"],
            one(manifests, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
            spread["labelSelector"]["matchLabels"],
        ]
        if folder == STABLE:
            found.append(one(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"])
        for selector in found:
            assert selects(selector, labels[folder]) and not selects(selector, labels[other])


def test_stable_and_canary_do_not_meet() -> None:
    names = [{(each["kind"], each["metadata"]["name"]) for each in rendered(folder)} for folder in (STABLE, CANARY)]
    assert not names[0] & names[1]
    kinds = {each["kind"] for each in rendered(CANARY)}
    assert "HorizontalPodAutoscaler" not in kinds
    assert one(rendered(CANARY), "Deployment")["spec"]["replicas"] == 1
    assert "replicas" not in one(rendered(STABLE), "Deployment")["spec"]


def test_the_route_leads_to_both_services() -> None:
    [rule] = one(rendered(ROUTE), "HTTPRoute")["spec"]["rules"]
    known = {one(rendered(folder), "Service")["metadata"]["name"] for folder in (STABLE, CANARY)}
    assert {each["name"] for each in rule["backendRefs"]} == known
    assert {each["port"] for each in rule["backendRefs"]} == {
        one(rendered(STABLE), "Service")["spec"]["ports"][0]["port"]
    }
    assert sum(each["weight"] for each in rule["backendRefs"]) == 100


@pytest.mark.parametrize(
    ("folder", "target"), [(STABLE, "product-classifier"), (KSERVE, "product-classifier-predictor")]
)
def test_the_autoscaler_knows_its_deployment(folder: str, target: str) -> None:
    manifests = rendered(folder)
    scaler = one(manifests, "HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    names = {each["name"] for each in containers(pod_of(manifests))}
    assert {
        each["containerResource"]["container"] for each in scaler["metrics"] if "containerResource" in each
    } <= names
    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"]


def test_kserve_serves_the_same_pod() -> None:
    predictor, pod = pod_of(rendered(KSERVE)), pod_of(rendered(STABLE))
    answering, *others = predictor["containers"]
    assert (answering["name"], others) == ("kserve-container", [])  # as KServe asks of a predictor of one's own
    assert answering["ports"][0]["name"] == "http"  # where its Service leads to
    renamed = {**predictor, "containers": [{**answering, "name": "proxy"}]}
    own = {"minReplicas", "maxReplicas", "labels"}
    assert {key: value for key, value in renamed.items() if key not in own} == {
        key: value for key, value in pod.items() if key != "topologySpreadConstraints"
    }
    service = one(rendered(KSERVE), "InferenceService")
    assert service["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "external"
    for kind, path in (("NetworkPolicy", "podSelector"), ("PodDisruptionBudget", "selector")):
        assert selects(one(rendered(KSERVE), kind)["spec"][path]["matchLabels"], predictor["labels"])
    scaler = one(rendered(KSERVE), "HorizontalPodAutoscaler")["spec"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (scaler["minReplicas"], scaler["maxReplicas"])
