"""Changes while everything runs: certificates, keys, the service itself."""

import json
import shutil
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.client import httpx as for_httpx
from macaroon_cbat.client import requests as for_requests
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.holders import House
from tests.support.ports import free_port
from tests.support.service_process import API, Service, in_process, resource_server
from tests.support.tls_servers import Client, Server, wait_until

WORKERS = 2


def replace(file: Path, client: Client) -> None:
    """Rotate the certificate: the file is replaced whole."""
    draft = file.with_suffix(".draft")
    shutil.copyfile(client.file, draft)
    draft.replace(file)


def test_a_rotated_certificate_is_used_at_once_by_requests(house: House, guarded: Server, tmp_path: Path):
    """Between two calls of one session the certificate is rotated, and the second call succeeds."""
    file = tmp_path / "client.pem"
    replace(file, house.holders["P-256"])
    source = house.source()
    auth = for_requests.MacaroonAuth(source, ClientCertificate(file))
    seen: list[dict[str, Any]] = []
    with for_requests.certificate_session(auth, guarded.folder / "ca.pem") as session:
        for kind in ("P-256", "RSA", "RSA", "P-256"):
            replace(file, house.holders[kind])
            response = session.get(f"https://localhost:{guarded.port}/invoices", timeout=60)
            assert response.status_code == 200
            seen.append(response.json())
    assert seen[0]["certificate"] == seen[3]["certificate"] != seen[1]["certificate"]
    assert seen[1]["port"] == seen[2]["port"], "the connection is kept while the certificate stays"
    assert len({one["token_id"] for one in seen}) == 1, "the stored token outlives the certificates"


def test_a_rotated_certificate_is_used_at_once_by_httpx(house: House, guarded: Server, tmp_path: Path):
    """The same with httpx."""
    file = tmp_path / "client.pem"
    replace(file, house.holders["P-256"])
    certificate = ClientCertificate(file)
    auth = for_httpx.MacaroonAuth(house.source(), certificate)
    transport = for_httpx.CertificateTransport(certificate, guarded.folder / "ca.pem")
    with httpx.Client(auth=auth, transport=transport) as client:
        url = f"https://localhost:{guarded.port}/invoices"
        first = client.get(url)
        replace(file, house.holders["Ed25519"])
        second = client.get(url)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["certificate"] != second.json()["certificate"]


def test_a_client_bound_at_minting_gets_a_new_token(house: House, offline: Server, tmp_path: Path):
    """A client whose tokens are minted bound gets a new one for its new certificate by itself."""
    file = tmp_path / "client.pem"
    replace(file, house.holders["P-256"])
    certificate = ClientCertificate(file)
    source = house.service.client("bound", house.secrets["bound"], certificate=certificate, resource=API)
    auth = for_requests.MacaroonAuth(source, certificate)
    with for_requests.certificate_session(auth, offline.folder / "ca.pem") as session:
        url = f"https://localhost:{offline.port}/invoices"
        first = session.get(url, timeout=60)
        replace(file, house.holders["RSA"])
        second = session.get(url, timeout=60)
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json()["token_id"] != second.json()["token_id"]


@pytest.fixture
def empty(tmp_path: Path) -> Service:
    """Give a data folder of its own, with two worker processes to come."""
    data = tmp_path / "data"
    data.mkdir()
    return Service(data, free_port())


def ask(server: Server, token: str, house: House) -> int:
    """Call with a child of the token over a connection of its own."""
    auth = for_requests.MacaroonAuth(token, house.certificate())
    with for_requests.certificate_session(auth, server.folder / "ca.pem") as session:
        return session.get(f"https://localhost:{server.port}/invoices", timeout=60).status_code


def test_keys_and_tokens_outlive_what_happens_to_the_service(empty: Service, house: House, tmp_path: Path):
    """Tokens survive restarts and rotations; a resource server has the next key already, then follows."""
    with empty.running("--workers", "2"):
        secret = empty.add("billing", "--scope", "read", "--audience", API)
        keys = empty.export(tmp_path / "keys.json")
        old = empty.client("billing", secret)()
    with resource_server(tmp_path / "api", keys=keys) as api:
        assert ask(api, old, house) == 200, "the service is down, the offline guard does not need it"
        with empty.running("--workers", "2"):
            rotated = json.loads(in_process("key", "rotate", "--data", empty.data, "--json"))
            new = _minted_with(empty, secret, rotated["kid"])
            assert ask(api, new, house) == 200, "the next key was exported before it minted"
            rotated = json.loads(in_process("key", "rotate", "--data", empty.data, "--json"))
            new = _minted_with(empty, secret, rotated["kid"])
            assert ask(api, new, house) == 401, "the resource server has not got this key yet"
            empty.export(keys)
            wait_until(lambda: ask(api, new, house) == 200)
            assert ask(api, old, house) == 200, "tokens of the old key verify until they expire"


def _minted_with(empty: Service, secret: str, kid: str) -> str:
    """Return a token of the key, which the worker processes find out about by themselves."""
    tokens: list[str] = []

    def minted() -> bool:
        tokens.append(empty.client("billing", secret)())
        return read_identifier(read_macaroon(tokens[-1]).identifier).kid == kid

    wait_until(minted)
    return tokens[-1]


def test_an_asking_guard_follows_rotation_and_revocation(empty: Service, house: House, tmp_path: Path):
    """A guard that asks the service knows every key and every revocation at once, with several workers."""
    with empty.running("--workers", "2"):
        secret = empty.add(
            "billing", "--scope", "read", "--audience", API, "--serves", API, "--understands-caveats"
        )
        settings = {"issuer": empty.issuer, "audience": API, "client_id": "billing", "client_secret": secret}
        with resource_server(tmp_path / "api", introspection={**settings, "ca": empty.ca}, workers=2) as api:
            old = empty.client("billing", secret)()
            in_process("key", "rotate", "--data", empty.data)
            new = empty.client("billing", secret)()
            assert [ask(api, token, house) for token in (old, new)] == [200, 200]
            form = {"token": old, "client_id": "billing", "client_secret": secret}
            with httpx.Client(verify=_trust(empty)) as client:
                assert client.post(empty.issuer + "/oauth2/revoke", data=form).status_code == 200
            assert [ask(api, old, house) for _ in range(2 * WORKERS)] == [401] * 2 * WORKERS
            assert ask(api, new, house) == 200


def _trust(empty: Service) -> Any:
    return ssl.create_default_context(cafile=empty.ca)


def test_an_asking_guard_without_its_service_is_503(empty: Service, house: House, tmp_path: Path):
    """An asking guard answers 503 while the service is down, and passes again when it is back."""
    with empty.running():
        secret = empty.add(
            "billing", "--scope", "read", "--audience", API, "--serves", API, "--understands-caveats"
        )
        token = empty.client("billing", secret)()
        settings = {"issuer": empty.issuer, "audience": API, "client_id": "billing", "client_secret": secret}
    with resource_server(tmp_path / "api", introspection={**settings, "ca": empty.ca}) as api:
        assert ask(api, token, house) == 503
        with empty.running():
            assert ask(api, token, house) == 200
        assert ask(api, token, house) == 503


def test_requests_are_spread_over_the_workers(offline: Server, house: House):
    """A resource server of two processes judges alike in both."""
    token = house.source()()
    auth = for_requests.MacaroonAuth(token, house.certificate())
    pids = set()

    def both() -> bool:
        with for_requests.certificate_session(auth, offline.folder / "ca.pem") as session:
            response = session.get(f"https://localhost:{offline.port}/invoices", timeout=60)
        assert response.status_code == 200
        pids.add(response.json()["pid"])
        return len(pids) == WORKERS

    wait_until(both)
