"""The Kubernetes manifests: valid, and fitting the service, its settings and each other."""

import os
import shutil
from typing import Any

import kubernetes_validate
import pytest
import yaml

from api.access import OPEN, ROUTES
from config.load import DEFAULT_FILE, load_settings
from config.settings import Environment
from tests.deploy.manifests import (
    BASE,
    CONFIG_MOUNT,
    GIVEN,
    PRODUCTION,
    Document,
    assembled,
    base_manifests,
    compose,
    example_variables,
    mebibytes,
    only,
    request_seconds,
    served_port,
    settings_of,
    state_folder,
)

VERSIONS = ("1.29", "1.32", kubernetes_validate.latest_version())
DRAIN_SECONDS = load_settings({}).settings.drain_seconds
"""How long a worker goes on answering once it is to stop."""
CLOSING_SECONDS = 7
"""What it may take to close after the requests under way."""
RESIDENT_MB = 250 + 160
"""What a worker may be, and the process that watches over it was measured as."""

LABELS = {"app.kubernetes.io/name": "usdcop"}

needs_kubectl = pytest.mark.skipif(
    shutil.which("kubectl") is None and os.environ.get("CI") != "true",
    reason="there is no kubectl on PATH, which puts base and overlay together",
)


@pytest.fixture(scope="module")
def production() -> list[Document]:
    return assembled()


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = only(base_manifests(), "StatefulSet")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    assert isinstance(found, dict)
    return found


def literals(kustomization: Document) -> dict[str, str]:
    (found,) = [
        generated["literals"]
        for generated in kustomization["configMapGenerator"]
        if generated["name"] == "usdcop-environment"
    ]
    return dict(each.split("=", 1) for each in found)


def environment(manifests: list[Document]) -> dict[str, str]:
    """What the container would find, with the secrets of `GIVEN`."""
    spec = only(manifests, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    found: dict[str, str] = dict(only(manifests, "ConfigMap", "usdcop-environment")["data"])
    for each in spec["env"]:
        found[each["name"]] = each.get("value") or GIVEN[each["valueFrom"]["secretKeyRef"]["key"]]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_base_is_valid_to_the_last_field(version: str) -> None:
    for manifest in base_manifests():
        kubernetes_validate.validate(manifest, version, strict=True)


@needs_kubectl
class TestProduction:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_is_valid_to_the_last_field(self, production: list[Document], version: str) -> None:
        for manifest in production:
            kubernetes_validate.validate(manifest, version, strict=True)

    def test_is_all_in_its_namespace(self, production: list[Document]) -> None:
        assert {each["metadata"]["namespace"] for each in production} == {"usdcop"}

    def test_serves_the_configuration_of_this_repository(self, production: list[Document]) -> None:
        generated = only(production, "ConfigMap", "usdcop-configuration")
        assert generated["data"] == {"mlops.yaml": DEFAULT_FILE.read_text()}
        (mounted,) = [
            volume["configMap"]["name"]
            for volume in only(production, "StatefulSet")["spec"]["template"]["spec"]["volumes"]
            if "configMap" in volume
        ]
        assert mounted == generated["metadata"]["name"]

    def test_gives_settings_that_the_service_knows(self, production: list[Document]) -> None:
        settings = settings_of(environment(production)).settings
        assert settings.environment is Environment.PRODUCTION
        assert settings.redis.host == "redis.usdcop.svc.cluster.local"
        assert settings.redis.password is not None
        assert len(settings.access.keys) == len(settings.alerts.urls) == 1

    def test_runs_a_version_that_is_named(self, production: list[Document]) -> None:
        set_of_pods = only(production, "StatefulSet")
        (running,) = set_of_pods["spec"]["template"]["spec"]["containers"]
        name, _, version = running["image"].rpartition(":")
        assert name.endswith("/usdcop")
        assert version not in {"", "latest"}


def test_the_base_names_only_settings_that_the_service_knows() -> None:
    base = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    overlay = yaml.safe_load((PRODUCTION / "kustomization.yaml").read_text())
    given = {
        each["name"]: each.get("value") or GIVEN[each["valueFrom"]["secretKeyRef"]["key"]]
        for each in container()["env"]
    }
    settings = settings_of({**literals(base), **literals(overlay), **given}).settings
    assert settings.environment is Environment.PRODUCTION


def test_no_manifest_holds_a_secret_and_the_example_names_each_that_is_asked_for() -> None:
    assert {each["kind"] for each in base_manifests()} & {"Secret"} == set()
    asked_for = {
        each["valueFrom"]["secretKeyRef"]["key"]
        for each in container()["env"]
        if "valueFrom" in each
    }
    assert asked_for <= set(example_variables())
    assert asked_for == set(compose()["services"]["usdcop"]["environment"]) & set(GIVEN)


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_every_probe_asks_an_open_route_on_the_port_of_the_service(probe: str) -> None:
    asked = container()[probe]["httpGet"]
    assert ROUTES[f"GET {asked['path']}"] is OPEN
    (port,) = container()["ports"]
    assert (asked["port"], port["containerPort"]) == (port["name"], served_port())


def test_only_a_process_that_hangs_is_restarted() -> None:
    assert container()["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container()["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_a_pod_ends_only_after_its_requests() -> None:
    command, pause = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert command == "sleep"
    needed = int(pause) + DRAIN_SECONDS + request_seconds() + CLOSING_SECONDS
    assert needed <= pod()["terminationGracePeriodSeconds"]


def test_a_pod_that_leaves_is_known_not_to_be_ready_before_it_refuses() -> None:
    probe = container()["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < DRAIN_SECONDS


def test_a_pod_has_no_rights_and_writes_only_to_its_volumes() -> None:
    account = only(base_manifests(), "ServiceAccount")
    assert account["automountServiceAccountToken"] is False
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["serviceAccountName"] == account["metadata"]["name"]
    assert pod()["securityContext"]["runAsNonRoot"] is True
    assert pod()["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_no_service_of_the_namespace_can_set_a_setting() -> None:
    # One called redis would put REDIS_PORT=tcp://... into every pod.
    assert pod()["enableServiceLinks"] is False


def test_configuration_and_state_lie_where_the_service_looks_for_them() -> None:
    mounted = {each["mountPath"]: each for each in container()["volumeMounts"]}
    (claim,) = only(base_manifests(), "StatefulSet")["spec"]["volumeClaimTemplates"]
    folder, _, _ = CONFIG_MOUNT.rpartition("/")
    assert set(mounted) == {folder, state_folder(), "/tmp"}
    assert mounted[folder]["readOnly"] is True
    assert mounted[state_folder()]["name"] == claim["metadata"]["name"]
    names = {volume["name"] for volume in pod()["volumes"]} | {claim["metadata"]["name"]}
    assert {each["name"] for each in mounted.values()} == names


def test_memory_is_enough_for_a_drift_check_and_its_report() -> None:
    (temporary,) = [each for each in pod()["volumes"] if each["name"] == "tmp"]
    drift = yaml.safe_load(DEFAULT_FILE.read_text())["monitoring"]["drift_memory_limit_mb"]
    needed = RESIDENT_MB + 2 * drift + mebibytes(temporary["emptyDir"]["sizeLimit"])
    resources = container()["resources"]
    assert mebibytes(resources["limits"]["memory"]) >= needed
    assert mebibytes(resources["requests"]["memory"]) >= RESIDENT_MB


def test_everything_that_picks_pods_picks_these() -> None:
    manifests = base_manifests()
    set_of_pods = only(manifests, "StatefulSet")
    assert set_of_pods["spec"]["template"]["metadata"]["labels"] == LABELS
    assert set_of_pods["spec"]["selector"]["matchLabels"] == LABELS
    for service in (each for each in manifests if each["kind"] == "Service"):
        assert service["spec"]["selector"] == LABELS
        assert [port["port"] for port in service["spec"]["ports"]] == [served_port()]
    assert only(manifests, "Service", set_of_pods["spec"]["serviceName"])
    assert only(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == LABELS
    assert only(manifests, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == LABELS
    for constraint in pod()["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"] == LABELS
    target = only(manifests, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("StatefulSet", set_of_pods["metadata"]["name"])


def test_a_pod_always_stays_while_another_one_goes() -> None:
    least = only(base_manifests(), "HorizontalPodAutoscaler")["spec"]["minReplicas"]
    assert least - only(base_manifests(), "PodDisruptionBudget")["spec"]["maxUnavailable"] >= 1


def test_callers_reach_its_port_and_it_reaches_redis_names_and_alert_targets() -> None:
    rules = only(base_manifests(), "NetworkPolicy")["spec"]
    assert rules["policyTypes"] == ["Ingress", "Egress"]
    (calls,) = rules["ingress"]
    assert [port["port"] for port in calls["ports"]] == [served_port()]
    assert all(each for each in calls["from"])  # an empty one would be everybody
    redis_port = yaml.safe_load(DEFAULT_FILE.read_text())["redis"]["port"]
    reached = {port["port"] for rule in rules["egress"] for port in rule["ports"]}
    assert reached == {53, redis_port, 443, 587}
    (to_redis,) = [rule for rule in rules["egress"] if rule["ports"][0]["port"] == redis_port]
    assert to_redis["to"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "redis"}}}]
