"""The manifests against the schemas of Kubernetes itself, and what schemas do not know."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy import kustomization
from tests.deploy.front import DEPLOY

FOLDER = DEPLOY / "kubernetes"

VARIANTS = ("base", "dind")

VALIDATE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import kubernetes_validate as k
for manifest in json.load(sys.stdin):
    for version in ("1.31", k.latest_version()):
        try:
            k.validate(manifest, version, strict=True)
        except k.ValidationError as error:
            print(version, manifest["kind"], list(error.path), error.message)
"""


def manifests(variant: str) -> list[dict[str, Any]]:
    return kustomization.build(FOLDER / variant)


def one(variant: str, kind: str) -> dict[str, Any]:
    (found,) = [each for each in manifests(variant) if each["kind"] == kind]
    return found


def complaints(library: Path, documents: list[dict[str, Any]]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", VALIDATE, library],
        input=json.dumps(documents), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_manifest_fits_the_schemas(kubernetes_validate: Path) -> None:
    documents = [each for variant in VARIANTS for each in manifests(variant)]
    documents += yaml.safe_load_all((FOLDER / "ingress" / "ingress.yaml").read_text())
    assert len(documents) == 11
    assert not complaints(kubernetes_validate, documents)


def test_the_schemas_notice_a_slip(kubernetes_validate: Path) -> None:
    server = one("base", "StatefulSet")
    server["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    assert "readynessProbe" in complaints(kubernetes_validate, [server])


def test_every_file_is_part_of_a_variant() -> None:
    named = {FOLDER / "ingress" / "ingress.yaml"}
    for variant in VARIANTS:
        folder = FOLDER / variant
        description = yaml.safe_load((folder / "kustomization.yaml").read_text())
        named |= {folder / "kustomization.yaml"}
        named |= {folder / name for name in description["resources"] if name.endswith("yaml")}
        named |= {folder / patch["path"] for patch in description.get("patches", ())}
    assert set(FOLDER.rglob("*.yaml")) == named


def test_the_server_fits_the_restricted_profile() -> None:
    """Pod Security Standards, "restricted": each of its rules that touches a pod of ours."""
    assert one("base", "Namespace")["metadata"]["labels"] == {
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
    }
    pod = one("base", "StatefulSet")["spec"]["template"]["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all(set(each) & {"emptyDir", "secret", "configMap"} for each in pod["volumes"])
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*pod["containers"], *pod.get("initContainers", ())]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in context
        assert all("hostPort" not in port for port in container.get("ports", ()))


def test_only_the_engine_of_dind_is_privileged_and_its_namespace_says_so() -> None:
    labels = one("dind", "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "privileged"
    pod = one("dind", "StatefulSet")["spec"]["template"]["spec"]
    (engine,), (server,) = pod["initContainers"], pod["containers"]
    assert engine["securityContext"]["privileged"]
    assert server == one("base", "StatefulSet")["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_referred_to_is_there(variant: str) -> None:
    stateful_set, settings = one(variant, "StatefulSet"), one(variant, "ConfigMap")
    spec, service = stateful_set["spec"], one(variant, "Service")
    pod = spec["template"]["spec"]
    volumes = {each["name"] for each in pod["volumes"]}
    volumes |= {each["metadata"]["name"] for each in spec["volumeClaimTemplates"]}
    for container in [*pod["containers"], *pod.get("initContainers", ())]:
        assert {each["name"] for each in container["volumeMounts"]} <= volumes
    labels = spec["template"]["metadata"]["labels"]
    for selector in (
        spec["selector"]["matchLabels"],
        service["spec"]["selector"],
        one(variant, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector == labels
    (server,) = pod["containers"]
    assert server["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}]
    assert service["spec"]["ports"][0]["targetPort"] == server["ports"][0]["name"]
    assert spec["serviceName"] == service["metadata"]["name"]
    where = settings["data"]["DOCKER_HOST"]
    mounted = {each["mountPath"] for each in server["volumeMounts"]}
    assert "/engine" in mounted
    assert where.startswith("unix:///engine/") or settings["data"]["DOCKER_CERT_PATH"] == "/engine"
    assert spec["replicas"] == 1, "a database in a file has one server"
