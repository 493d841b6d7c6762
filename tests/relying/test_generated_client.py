"""A client that openapi-python-client generates of the API document works against the running service."""

import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import requests

from tests.support.relying.realm import Realm
from tests.support.service_process import API
from tests.support.tls_servers import SECONDS

TOOLS = Path(sys.prefix) / "openapi/bin"


def run(*command: object, folder: Path) -> str:
    """Run a program of the generator's environment, which may find its own tools; return what it prints."""
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={"PATH": f"{TOOLS}:/usr/bin:/bin"},
        timeout=4 * SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_generated_client_works(realm: Realm, tmp_path: Path):
    """A developer generates a client without a warning, and asks each kind of question with it."""
    document = requests.get(realm.service.issuer + "/openapi.json", verify=realm.service.ca, timeout=SECONDS)
    (tmp_path / "openapi.json").write_bytes(document.content)
    generate = ("generate", "--path", "openapi.json", "--output-path", "generated", "--meta", "none")
    run(TOOLS / "openapi-python-client", *generate, "--fail-on-warning", folder=tmp_path)
    (tmp_path / "asking.py").write_bytes(
        (Path(__file__).parents[1] / "support" / "relying" / "generated_client.py").read_bytes()
    )
    secrets = {
        "ops": realm.service.add("ops", "--scope", "admin"),
        "invoices-api": realm.service.add(
            "invoices-api", "--scope", "keys revocations", "--serves", API + "/"
        ),
    }
    settings = {
        "issuer": realm.service.issuer,
        "audience": API,
        "ca": str(realm.service.ca),
        "certificate": str(realm.holder.file),
        "secrets": secrets,
        "basic": b64encode(f"invoices-api:{secrets['invoices-api']}".encode()).decode(),
    }
    assert json.loads(run(TOOLS / "python", "asking.py", json.dumps(settings), folder=tmp_path)) == {
        "made": "orders",
        "active": True,
        "audience": API,
        "inspected": realm.service.issuer,
        "refused": "invalid_grant",
        "audiences": [API, "https://other.example"],
        "taken": ["client", "orders"],
        "listed": ["orders"],
        "feed": [["client", "orders"]],
        "rotated": "current",
        "keys": [API],
        "gone": 204,
        "missing": "not_found",
    }
