"""The container's command, run as the compose file confines it: by bubblewrap, without a container engine."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from tests.support.deploy_config import ISSUER, written
from tests.support.service_process import ROOT, in_process

DRIVER = """
import json, subprocess, sys, time
service, health, environment = json.loads(sys.argv[1])
running = subprocess.Popen(service, env=environment, stdout=subprocess.DEVNULL)
deadline = time.monotonic() + 60
while (healthy := subprocess.run(health, env=environment, stderr=subprocess.DEVNULL).returncode) != 0:
    if running.poll() is not None or time.monotonic() > deadline:
        break
    time.sleep(0.1)
def is_writable(path):
    try:
        open(path, "w").close()
    except OSError:
        return False
    return True
writable = [path for path in ("/x", "/etc/x", "/usr/x", sys.prefix + "/x") if is_writable(path)]
with open("/proc/self/status") as status:
    capabilities = [line.split()[1] for line in status if line.startswith(("CapEff", "CapBnd"))]
interfaces = [line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]]
import os
running.terminate()
print(json.dumps([healthy, writable, os.getuid(), capabilities, interfaces, running.wait(60)]))
"""


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Write the compose file, and the secrets that it names."""
    folder = tmp_path_factory.mktemp("compose")
    pair = trustme.CA().issue_cert("auth.example")
    pair.cert_chain_pems[0].write_to_path(str(folder / "tls.crt"))
    pair.private_key_pem.write_to_path(str(folder / "tls.key"))
    (folder / "tls.key").chmod(0o400)
    in_process("key", "generate-wrapping", "--output", folder / "wrapping.key")
    written(
        "compose", folder / "files", *ISSUER, "--cert", folder / "tls.crt", "--key", folder / "tls.key",
        "--wrapping-key-file", folder / "wrapping.key",
    )  # fmt: skip
    return folder, yaml.safe_load((folder / "files" / "compose.yaml").read_text())


def confined(folder: Path, members: dict[str, Any]) -> list[str]:
    """Return the command that confines another as the compose file says of the service."""
    service = members["services"]["service"]
    user, group = service["user"].split(":")
    secrets = [
        part
        for name in service["secrets"]
        for part in ("--ro-bind", members["secrets"][name]["file"], f"/run/secrets/{name}")
    ]
    (folder / "data").mkdir(mode=0o700)
    [volume] = service["volumes"]
    return [
        *("bwrap", "--unshare-user", "--uid", user, "--gid", group, "--unshare-net", "--unshare-pid"),
        *(
            "--ro-bind",
            "/",
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--cap-drop",
            "ALL",
            "--die-with-parent",
        ),
        *("--tmpfs", "/tmp", "--tmpfs", "/run", "--tmpfs", "/var/lib"),
        *("--ro-bind", str(ROOT), str(ROOT), "--ro-bind", sys.prefix, sys.prefix, *secrets),
        *("--bind", str(folder / "data"), volume.partition(":")[2], "--chdir", str(ROOT)),
    ]


def test_the_service_runs_confined(composed: tuple[Path, dict[str, Any]]):
    """The service is ready, and ends by SIGTERM, without root, writable root, download or capability."""
    folder, members = composed
    service = members["services"]["service"]
    path = f"{sys.prefix}/bin:{os.environ['PATH']}"
    command = [sys.executable, "-m", "macaroon_cbat", *service["command"]]
    arguments = [command, service["healthcheck"]["test"][1:], {**service["environment"], "PATH": path}]
    done = subprocess.run(
        [*confined(folder, members), sys.executable, "-c", DRIVER, json.dumps(arguments)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    healthy, writable, user, capabilities, interfaces, status = json.loads(done.stdout)
    assert (healthy, writable, user, status) == (0, [], 10001, 0), done.stderr
    assert (capabilities, interfaces) == (["0" * 16] * 2, ["lo"])


def test_every_service_is_confined(tmp_path: Path):
    """No container of the file has root, capabilities or a writable root, and secrets are files."""
    urls = ("--database-url-file", "/etc/url", "--owner-database-url-file", "/etc/owner")
    members = yaml.safe_load((written("compose", tmp_path, *ISSUER, *urls) / "compose.yaml").read_text())
    assert members["services"].keys() == {"upgrade", "service"}
    for each in members["services"].values():
        assert (each["user"], each["read_only"], each["cap_drop"]) == ("10001:10001", True, ["ALL"])
        assert each["security_opt"] == ["no-new-privileges:true"]
        assert set(each["secrets"]) <= members["secrets"].keys()
        assert each["environment"]["MACAROON_CBAT_DATABASE_URL_FILE"].startswith("/run/secrets/")


def test_the_role_that_owns_the_tables_is_the_jobs_alone(tmp_path: Path):
    """The service does not get the URL with which the job changes tables."""
    urls = ("--database-url-file", "/etc/url", "--owner-database-url-file", "/etc/owner")
    members = yaml.safe_load((written("compose", tmp_path, *ISSUER, *urls) / "compose.yaml").read_text())
    services = members["services"]
    assert "owner-database-url" not in services["service"]["secrets"]
    assert services["upgrade"]["secrets"] == ["owner-database-url"]


def test_the_image_downloads_nothing_when_it_starts(tmp_path: Path):
    """Only the stage that builds installs; the image runs the installed command as a plain user."""
    lines = (written("compose", tmp_path, *ISSUER) / "Containerfile").read_text().splitlines()
    last = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]
    assert "USER 10001:10001" in last
    assert 'ENTRYPOINT ["macaroon-cbat"]' in last
    assert not any("pip" in line or "ADD " in line for line in last)
