"""A flood of refusals at the real service: its logs stay small, and nothing in them is forged or lost."""

import base64
import json
import re
import ssl
from collections import Counter
from datetime import datetime
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from macaroon_cbat.audit.refusals import DEFAULT_LINES, SECONDS
from macaroon_cbat.service.oauth2.routes import TOKEN
from macaroon_cbat.service.openapi import OPERATIONS
from tests.support.command_line import API, Served, run, serving

FLOOD = 600
WORKERS = 2
PATHS = (*sorted({operation.path.replace("{client_id}", "x") for operation in OPERATIONS}), "/")
EVIL = "%0a2026-01-01%20ERROR%20forged%0d%e2%80%a8forged%1b[2J%c2%85forged%00"
LATIN = "a\x9bforged\xe2\x80\xa8\x85forged"
A_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING|ERROR) macaroon_cbat\.[a-z]+: .*")


def connection(service: Served) -> HTTPSConnection:
    url, trust = urlsplit(service.issuer), ssl.create_default_context(cafile=service.data / "ca.pem")
    return HTTPSConnection(str(url.hostname), url.port, timeout=60, context=trust)


def ask(http: HTTPSConnection, method: str, path: str, body: str = "", **headers: str) -> int:
    http.request(
        method, path, body.encode("latin-1"), {name.replace("_", "-"): headers[name] for name in headers}
    )
    response = http.getresponse()
    response.read()
    return response.status


def added(data: Path) -> str:
    """Return the authorization of a client that may mint."""
    command = ("client", "add", "billing", "--scope", "read", "--audience", API, "--data", data, "--json")
    secret = json.loads(run(*command).stdout)["client_secret"]
    return "Basic " + base64.b64encode(f"billing:{secret}".encode()).decode()


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "audit.log"


def test_a_flood_hides_no_deed_and_loses_no_refusal(data, file):
    """Written refusals and counted ones are all that there were; the file is small and has every token."""
    authorization = added(data)
    minting = f"grant_type=client_credentials&resource={API}"
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    with serving(data, "--workers", str(WORKERS), MACAROON_CBAT_AUDIT_LOG=str(file)) as service:
        https = [connection(service) for _ in range(4)]
        refused = [
            ask(https[number % 4], "POST", TOKEN.path, "grant_type=x", **form) for number in range(FLOOD)
        ]
        minted = [
            ask(http, "POST", TOKEN.path, minting, Authorization=authorization, **form) for http in https
        ]
        for http in https:
            http.close()
    assert set(refused) <= {400, 401}
    assert minted == [200] * 4
    events = [json.loads(line) for line in file.read_text().splitlines()]
    kinds = Counter(event["event"] for event in events)
    left_out = sum(event["count"] for event in events if event["event"] == "refusals.omitted")
    assert kinds["token.minted"] == 4
    assert kinds["token.refused"] + left_out == FLOOD
    assert left_out >= FLOOD - WORKERS * DEFAULT_LINES * (1 + elapsed(events) // SECONDS)


def elapsed(events: list[dict[str, str]]) -> float:
    """Return the seconds between the first and the last event, rounded up."""
    moments = [datetime.fromisoformat(event["at"]) for event in events]
    return (max(moments) - min(moments)).total_seconds() + 1


def test_the_bound_is_a_setting(data, file):
    """MACAROON_CBAT_AUDIT_REFUSALS says how many lines there are, 0 being all."""
    settings = {"MACAROON_CBAT_AUDIT_LOG": str(file), "MACAROON_CBAT_AUDIT_REFUSALS": "0"}
    with serving(data, **settings) as service:
        http = connection(service)
        for _ in range(DEFAULT_LINES + 20):
            ask(http, "GET", "/nowhere")
        http.close()
    assert len(file.read_text().splitlines()) == DEFAULT_LINES + 20


def test_a_full_disk_stops_no_refusal_and_floods_no_log(data):
    """Refusals that cannot be written are answered as ever, and the ordinary log is bounded too."""
    with serving(data, MACAROON_CBAT_AUDIT_LOG="/dev/full") as service:
        http = connection(service)
        assert {ask(http, "GET", "/nowhere") for _ in range(300)} == {404}
        http.close()
    assert len((data.parent / "data.log").read_text().splitlines()) < 100


def test_one_request_is_one_line(data, file):
    """Each line of the logs is the service's own, whatever paths and headers hold, at every endpoint."""
    settings = {"MACAROON_CBAT_AUDIT_LOG": str(file), "MACAROON_CBAT_AUDIT_REFUSALS": "0"}
    sent = 0
    with serving(data, **settings) as service:
        http = connection(service)
        for path in PATHS:
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
                for target in (path, f"{path}{EVIL}", f"{path}/{EVIL}", f"{path}?{EVIL}={EVIL}"):
                    ask(
                        http,
                        method,
                        target,
                        LATIN,
                        Authorization=LATIN,
                        Client_Cert=LATIN,
                        Content_Type=LATIN,
                    )
                    sent += 1
        http.close()
    lines = file.read_bytes().split(b"\n")[:-1]
    assert len(lines) <= sent
    assert all(line.isascii() and line.decode().isprintable() for line in lines)
    assert all(json.loads(line)["event"].endswith("refused") for line in lines)
    ordinary = (data.parent / "data.log").read_text()
    assert ordinary.splitlines() == ordinary.split("\n")[:-1]
    assert [line for line in ordinary.splitlines() if not A_LINE.fullmatch(line)] == []
    assert len(ordinary.splitlines()) <= sent
