"""A service with a metrics page, a caller of it, and the samples that the page shows."""

import json
import ssl
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlencode

from prometheus_client.parser import text_string_to_metric_families

from tests.support.command_line import API, Served, members, serving
from tests.support.ports import free_port

THREADS, ROUNDS = 8, 25


@contextmanager
def measured(data: Path, workers: int, **variables: str) -> Iterator[tuple[Served, "Caller", int]]:
    """Run a service with a metrics page, and a caller with the rights it needs."""
    register = ("--audience", API, "--data", data)
    billing = members("client", "add", "billing", "--scope", "read write", *register)["client_secret"]
    api = members("client", "add", "api", "--serves", API, "--data", data)["client_secret"]
    port = free_port()
    with serving(data, "--workers", str(workers), "--management-port", str(port), **variables) as service:
        yield service, Caller(service, {"billing": billing, "api": api}), port


class Caller:
    """Calls the service, in each round over a connection of its own so that every worker is met."""

    def __init__(self, service: Served, secrets: dict[str, str]) -> None:
        self.secrets = secrets
        self._port = int(service.issuer.rpartition(":")[2])
        self._context = ssl.create_default_context(cafile=service.data / "ca.pem")

    def connect(self) -> closing[HTTPSConnection]:
        """Return a new connection for a block."""
        return closing(HTTPSConnection("localhost", self._port, context=self._context, timeout=60))

    def post(
        self, connection: HTTPSConnection, path: str, client: str, **form: str
    ) -> tuple[int, dict[str, object]]:
        """Send a form as this client."""
        body = urlencode({"client_id": client, "client_secret": self.secrets.get(client, "wrong"), **form})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def mint(self, connection: HTTPSConnection, client: str = "billing", **form: str) -> str:
        """Return a new token, or the code of the error."""
        form["grant_type"] = "client_credentials"
        answer = self.post(connection, "/oauth2/token", client, **form)[1]
        return str(answer.get("access_token") or answer["error"])

    def round(self, number: int) -> None:
        """Mint twice, be refused twice, and ask about a good and a bad token."""
        with self.connect() as one:
            token = self.mint(one)
            self.mint(one, scope="read")
            assert self.mint(one, scope="root") == "invalid_scope"
            assert self.mint(one, f"stranger-{number}") == "invalid_client"
            assert self.post(one, "/oauth2/introspect", "api", token=token)[1]["active"] is True
            assert self.post(one, "/oauth2/introspect", "api", token="x")[1]["active"] is False
            if number % 5 == 0:
                assert self.post(one, "/oauth2/revoke", "billing", token=token)[0] == 200

    def load(self, rounds: int = ROUNDS) -> None:
        """Do so many rounds in each of several threads."""
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(self.round, range(THREADS * rounds)))


def scrape(port: int) -> dict[str, float]:
    """Return every sample of the page by its name and labels; none may stand there twice."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as response:
        text = response.read().decode()
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            key = f"{sample.name.removeprefix('macaroon_cbat_')}{{{labels}}}"
            assert key not in found
            found[key] = sample.value
    return found


def counted(rounds: int) -> dict[str, float]:
    return {
        "tokens_minted_total{bound=no}": 2 * rounds,
        "tokens_minted_total{bound=yes}": 0,
        "tokens_introspected_total{active=yes}": rounds,
        "tokens_introspected_total{active=no}": rounds,
        "discharges_minted_total{condition=is-member-of}": 0,
        "discharges_minted_total{condition=user-approves}": 0,
        "feed_waits_total{end=revocation}": 0,
        "feed_waits_total{end=rights}": 0,
        "feed_waits_total{end=time}": 0,
        "tokens_revoked_total{}": rounds / 5,
        "certificate_headers_ignored_total{}": 0,
        "clients_locked_total{}": 0,
        "refresh_tokens_replayed_total{}": 0,
        "requests_refused_total{endpoint=token,error=invalid_scope}": rounds,
        "requests_refused_total{endpoint=token,error=invalid_client}": rounds,
    }


def counters(port: int) -> dict[str, float]:
    """Return the counters of events, without histograms, gauges and the metrics of processes."""
    found = scrape(port)
    return {name: value for name, value in found.items() if "_total{" in name and "process_" not in name}


def workers_of(pid: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
