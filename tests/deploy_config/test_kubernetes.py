"""Manifests that Kubernetes takes as they are, of pods that need nothing of their host."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.deploy_config import ISSUER, written
from tests.support.manifests import manifests, require_type

ON_DISK = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = written("kubernetes", tmp_path_factory.mktemp("k8s"), *ISSUER, "--replicas", "3")
    return {
        each["kind"]: each for file in ("upgrade.yaml", "service.yaml") for each in manifests(folder / file)
    }


def test_each_object_is_one_of_kubernetes(objects: dict[str, Any]):
    """The files hold a job, a deployment, a service, a budget and a policy, with known members alone."""
    assert objects.keys() == {"Job", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"}
    assert {each["metadata"]["namespace"] for each in objects.values()} == {"macaroon-cbat"}


def test_a_wrong_member_would_be_seen(objects: dict[str, Any]):
    """A probe with a misspelt member is no probe."""
    from lightkube.models.core_v1 import Container

    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    with pytest.raises(AssertionError, match="has no member"):
        require_type(container | {"livenesProbe": {}}, Container)


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_a_pod_is_confined(objects: dict[str, Any], kind: str):
    """A pod runs without root, capabilities, a writable root and an account of the cluster."""
    pod = objects[kind]["spec"]["template"]["spec"]
    context = pod["containers"][0]["securityContext"]
    assert ON_DISK.items() <= pod["securityContext"].items()
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert (context["readOnlyRootFilesystem"], context["allowPrivilegeEscalation"]) == (True, False)
    assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_secrets_are_files(objects: dict[str, Any], kind: str):
    """Every secret is a file of a volume that its group alone reads, and no variable holds one."""
    pod = objects[kind]["spec"]["template"]["spec"]
    variables = {one["name"] for one in pod["containers"][0]["env"]}
    modes = {one["secret"]["defaultMode"] for one in pod["volumes"] if "secret" in one}
    assert modes == {0o440}
    assert "MACAROON_CBAT_DATABASE_URL_FILE" in variables
    assert variables.isdisjoint({"MACAROON_CBAT_DATABASE_URL", "MACAROON_CBAT_WRAPPING_KEY"})


def test_only_pods_of_the_service_get_requests(objects: dict[str, Any]):
    """The service and the budget select the deployment's pods, and not the job's."""
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    job = objects["Job"]["spec"]["template"]["metadata"]["labels"]
    for selector in (
        objects["Service"]["spec"]["selector"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
        assert not selector.items() <= job.items()


@pytest.mark.parametrize("word", ["null", "yes", "123"])
def test_a_name_that_yaml_reads_as_another_thing_stays_a_name(tmp_path: Path, word: str):
    """A namespace or role such as `null` is text in every file, and no missing value or number."""
    names = ("--namespace", word, "--database-role", "null")
    folder = written("kubernetes", tmp_path / "k8s", *ISSUER, *names)
    objects = [one for file in ("upgrade.yaml", "service.yaml") for one in manifests(folder / file)]
    assert {one["metadata"]["namespace"] for one in objects} == {word}
    assert objects[0]["spec"]["template"]["spec"]["containers"][0]["args"][-1] == "null"
