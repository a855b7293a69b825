"""The manifests for Kubernetes: they agree with each other, with the code and with our nginx.

No cluster is asked. Schemas are checked beside (docs/kubernetes.md), and in CI.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.app import served_routes
from server.serving import CONNECTIONS_GRACE_S
from server.settings import Settings
from server.settings.secrets import REQUIRED
from tests.deploy import manifests
from tests.deploy.manifests import (
    DOCKER,
    KUBERNETES,
    ROOT,
    based,
    document,
    instructions,
    is_secret,
    overlaid,
    unknown_settings,
)
from tests.support.machine import program

BASE = KUBERNETES / "base"
BASE_KUSTOMIZATION = document(BASE / "kustomization.yaml")
RESOURCES = based()
OVERLAYS = ["staging", "production"]
SCALES_ON = "chat_turns_active"
SETTINGS_NAME = "chatstream-settings"


def the(kind: str, name: str = "chatstream") -> dict[str, Any]:
    """Return the one resource of the base of this kind and name."""
    return manifests.the(RESOURCES, kind, name)


def settings_of(text: str) -> dict[str, str]:
    """Return the settings of lines such as `PORT=8000`."""
    return dict(line.split("=", 1) for line in text.splitlines() if line)


DEPLOYMENT = the("Deployment")["spec"]
POD = DEPLOYMENT["template"]["spec"]
[SERVER] = POD["containers"]
LABELS = DEPLOYMENT["template"]["metadata"]["labels"]
SETTINGS = settings_of((BASE / "settings.env").read_text("utf-8"))


def overlay(name: str) -> dict[str, Any]:
    """Return an overlay's kustomization."""
    return document(KUBERNETES / "overlays" / name / "kustomization.yaml")


def overlay_settings(name: str) -> dict[str, str]:
    """Return the settings that hold in an overlay."""
    [generated] = overlay(name)["configMapGenerator"]
    assert generated["behavior"] == "merge"
    assert generated["name"] == SETTINGS_NAME
    return SETTINGS | settings_of("\n".join(generated["literals"]))


def test_the_base_names_each_of_its_files() -> None:
    there = {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"}

    assert there == set(BASE_KUSTOMIZATION["resources"])
    assert BASE_KUSTOMIZATION["configMapGenerator"] == [
        {"name": SETTINGS_NAME, "envs": ["settings.env"]}
    ]
    assert not [each for each in RESOURCES if each["kind"] == "Secret"]


def test_a_name_that_is_given_a_hash_is_nobody_elses() -> None:
    # Kustomize renames whatever a role names, of whichever kind it is.
    named = [
        name
        for rule in the("Role", "chatstream-deployer")["rules"]
        for name in rule.get("resourceNames", [])
    ]

    assert named == [the("Deployment")["metadata"]["name"]]
    assert SETTINGS_NAME not in {each["metadata"]["name"] for each in RESOURCES}


def test_everything_that_selects_pods_selects_the_servers() -> None:
    selectors = [
        DEPLOYMENT["selector"]["matchLabels"],
        the("Service")["spec"]["selector"],
        the("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        the("NetworkPolicy", "chatstream-ingress")["spec"]["podSelector"]["matchLabels"],
        the("NetworkPolicy", "chatstream-egress")["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in POD["topologySpreadConstraints"]),
    ]

    assert all(selector == LABELS for selector in selectors)
    assert the("NetworkPolicy", "default-deny")["spec"]["podSelector"] == {}


def test_the_port_is_one_and_has_one_name() -> None:
    [port] = SERVER["ports"]
    [service] = the("Service")["spec"]["ports"]
    [ingress] = the("NetworkPolicy", "chatstream-ingress")["spec"]["ingress"]
    [expose] = [rest for word, rest in instructions(DOCKER / "Dockerfile") if word == "EXPOSE"]

    assert port["containerPort"] == int(SETTINGS["PORT"]) == int(expose)
    assert port["name"] == service["targetPort"] == ingress["ports"][0]["port"]
    for path in the("Ingress")["spec"]["rules"][0]["http"]["paths"]:
        assert path["backend"]["service"] == {
            "name": "chatstream",
            "port": {"name": service["name"]},
        }


def test_probes_ask_what_the_server_answers_whatever_it_is_called() -> None:
    routes = {getattr(route, "path", "") for route in served_routes()}
    probes = {name: SERVER[f"{name}Probe"] for name in ("startup", "readiness", "liveness")}

    assert {probe["httpGet"]["path"] for probe in probes.values()} <= routes
    assert probes["readiness"]["httpGet"]["path"] == "/health/ready"
    assert probes["liveness"]["httpGet"]["path"] == "/health/live"
    assert {probe["httpGet"]["port"] for probe in probes.values()} == {"http"}


def test_a_pod_that_goes_is_given_longer_than_it_takes_and_none_is_missing() -> None:
    stop = SERVER["lifecycle"]["preStop"]["exec"]["command"]
    drain_s = float(SETTINGS["DRAIN_TIMEOUT_S"])

    assert stop[0] == "sleep"
    assert POD["terminationGracePeriodSeconds"] >= int(stop[1]) + drain_s + CONNECTIONS_GRACE_S + 10
    assert DEPLOYMENT["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "replicas" not in DEPLOYMENT


def test_the_pod_is_restricted_and_runs_as_the_image_does() -> None:
    [user] = [rest for word, rest in instructions(DOCKER / "Dockerfile") if word == "USER"]
    security = POD["securityContext"]

    assert f"{security['runAsUser']}:{security['runAsGroup']}" == user
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert SERVER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert (
        the("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    )
    assert POD["automountServiceAccountToken"] is False
    assert the("ServiceAccount")["automountServiceAccountToken"] is False
    secrets = ("secrets", "*")
    assert not any(
        set(rule["resources"]) & set(secrets)
        for rule in the("Role", "chatstream-deployer")["rules"]
    )


def test_what_the_server_writes_and_reads_is_mounted() -> None:
    mounts = {each["mountPath"]: each for each in SERVER["volumeMounts"]}
    volumes = {each["name"]: each for each in POD["volumes"]}

    assert {each["name"] for each in mounts.values()} == set(volumes)
    assert SETTINGS["DATA_DIR"] in mounts
    assert mounts[SETTINGS["SECRETS_DIR"]]["readOnly"] is True
    assert volumes["secrets"]["secret"]["secretName"] == "chatstream"
    assert SERVER["envFrom"] == [{"configMapRef": {"name": SETTINGS_NAME}}]


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_sets_settings_with_which_production_starts(name: str, tmp_path: Path) -> None:
    given = overlay_settings(name)
    for each in REQUIRED:
        (tmp_path / each).write_text(f"{each}-9f8e7d6c5b4a-made-up-for-tests-{each}", "utf-8")

    values: dict[str, Any] = {key.lower(): value for key, value in given.items()}
    settings = Settings(_env_file=None, **values | {"secrets_dir": tmp_path})

    assert unknown_settings(list(given)) == []
    assert not [key for key in given if is_secret(key)]
    assert settings.app_env == "production"
    assert settings.drain_timeout_s == float(SETTINGS["DRAIN_TIMEOUT_S"])
    assert settings.trusted_proxies


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_called_by_one_host_and_lives_in_one_namespace(name: str) -> None:
    resources = overlaid(name)
    host, namespace = overlay_settings(name)["ALLOWED_HOSTS"], overlay(name)["namespace"]

    ingress = manifests.the(resources, "Ingress", "chatstream")["spec"]

    assert [each["host"] for each in ingress["rules"]] == [host]
    assert [each["hosts"] for each in ingress["tls"]] == [[host]]
    assert manifests.the(resources, "Namespace", namespace)
    assert overlay(name)["resources"] == ["../../base"]
    server = manifests.the(resources, "Deployment", "chatstream")["spec"]["template"]["spec"]
    assert re.search(r":\d+\.\d+\.\d+$", server["containers"][0]["image"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_as_many_pods_as_the_autoscaler_may_want_fit_the_quota(name: str) -> None:
    scaler = manifests.the(overlaid(name), "HorizontalPodAutoscaler", "chatstream")["spec"]
    most = 1 + scaler["maxReplicas"]
    hard = the("ResourceQuota")["spec"]["hard"]
    wanted = SERVER["resources"]

    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"]
    assert most <= int(hard["pods"])
    assert most * _cores(wanted["requests"]["cpu"]) <= _cores(hard["requests.cpu"])
    assert most * _cores(wanted["limits"]["cpu"]) <= _cores(hard["limits.cpu"])
    assert most * _mebibytes(wanted["requests"]["memory"]) <= _mebibytes(hard["requests.memory"])
    assert most * _mebibytes(wanted["limits"]["memory"]) <= _mebibytes(hard["limits.memory"])


def test_production_spreads_over_the_zones_that_are_there() -> None:
    pod = manifests.the(overlaid("production"), "Deployment", "chatstream")["spec"]["template"]
    spread = {each["topologyKey"]: each for each in pod["spec"]["topologySpreadConstraints"]}

    assert spread["topology.kubernetes.io/zone"]["whenUnsatisfiable"] == "DoNotSchedule"
    assert spread["kubernetes.io/hostname"]["whenUnsatisfiable"] == "ScheduleAnyway"
    assert {each["nodeTaintsPolicy"] for each in spread.values()} == {"Honor"}


def test_a_patch_of_what_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "overlays/wrong/kustomization.yaml"
    path.parent.mkdir(parents=True)
    text = (KUBERNETES / "overlays/staging/kustomization.yaml").read_text("utf-8")
    path.write_text(text.replace("/spec/tls/0/hosts/0", "/spec/tls/1/hosts/0"), encoding="utf-8")

    with pytest.raises(IndexError):
        overlaid(str(path.parent))


def _cores(text: str) -> float:
    return float(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)


def _mebibytes(text: str) -> int:
    return int(text[:-2]) * {"Mi": 1, "Gi": 1024}[text[-2:]]


def test_the_autoscaler_goes_by_a_figure_that_the_server_has_and_the_adapter_hands_on() -> None:
    spec = the("HorizontalPodAutoscaler")["spec"]
    [pods] = [each["pods"] for each in spec["metrics"] if each["type"] == "Pods"]
    [rule] = document(KUBERNETES / "monitoring/adapter.yml")["rules"]

    assert pods["metric"]["name"] == SCALES_ON
    assert f'"{SCALES_ON}"' in "".join(
        p.read_text("utf-8") for p in (ROOT / "metrics").rglob("*.py")
    )
    assert rule["seriesQuery"].startswith(SCALES_ON)
    assert rule["name"] == {"as": SCALES_ON}
    assert 2 * int(pods["target"]["averageValue"]) == int(SETTINGS["MAX_LIVE_TURNS"])
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "chatstream",
    }


def test_the_ingress_opens_what_our_nginx_opens_and_nothing_else() -> None:
    nginx = (ROOT / "deploy/nginx/chatstream.conf.template").read_text("utf-8")
    closed = re.search(r"location ~ (\^/\(admin\S+)", nginx)
    opened = re.search(r"location ~ (\^/\(health\S+)", nginx)
    assert closed is not None
    assert opened is not None

    for route in served_routes():
        path = getattr(route, "path", "")
        is_open = re.search(opened[1], path) is not None or re.search(closed[1], path) is None
        assert _is_led_to(path) == is_open, path


def _is_led_to(path: str) -> bool:
    for each in the("Ingress")["spec"]["rules"][0]["http"]["paths"]:
        prefix = each["path"]
        if path == prefix or (each["pathType"] == "Prefix" and path.startswith(f"{prefix}/")):
            return True
    return False


def test_events_pass_the_ingress_unbuffered_and_outlast_many_heartbeats() -> None:
    notes = the("Ingress")["metadata"]["annotations"]

    for prefix, off, size in (
        ("nginx.ingress.kubernetes.io", "off", "proxy-body-size"),
        ("nginx.org", "False", "client-max-body-size"),
    ):
        assert notes[f"{prefix}/proxy-buffering"] == off
        read_s = int(notes[f"{prefix}/proxy-read-timeout"].removesuffix("s"))
        assert read_s >= 10 * Settings.model_fields["heartbeat_s"].default
        assert notes[f"{prefix}/{size}"] == SETTINGS["MAX_BODY_BYTES"]


@pytest.mark.services
def test_prometheus_takes_the_sample_but_for_what_this_build_of_it_lacks(tmp_path: Path) -> None:
    sample = document(KUBERNETES / "monitoring/prometheus.yml")
    [job] = sample["scrape_configs"]
    del job["kubernetes_sd_configs"]  # Debian's Prometheus is built without it
    job["authorization"]["credentials_file"] = "token"
    (tmp_path / "token").write_text("x", encoding="utf-8")
    (tmp_path / "prometheus.yml").write_text(json.dumps(sample), encoding="utf-8")

    command = [
        program("promtool", "prometheus"),
        "check",
        "config",
        str(tmp_path / "prometheus.yml"),
    ]
    subprocess.run(command, check=True, timeout=30, capture_output=True)

    assert job["job_name"] == "chatstream"
