"""`serve` behind a proxy that connects over mutual TLS and is known by its certificate: real processes."""

import json
import ssl
from datetime import UTC, datetime
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from macaroon_cbat.macaroon.caveats import caveat_text, confirmation
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.certificate_spellings import SPELLINGS
from tests.support.certificates import Identity, authority, certified
from tests.support.command_line import API, Served, members, serving, with_database

SECRET = "a-secret-of-the-proxy"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Identity, Path]]:
    """Make certificates of the proxy, a holder and a stranger, and their files."""
    folder = tmp_path_factory.mktemp("people")
    made = {name: certified(f"CN={name}") for name in ("proxy", "holder", "stranger")}
    for name, identity in made.items():
        (folder / f"{name}.pem").write_bytes(identity.pem + identity.key_pem)
    return {name: (identity, folder / f"{name}.pem") for name, identity in made.items()}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, people: Any) -> Any:
    """Run a service that believes the proxy with the one certificate and the secret."""
    folder = tmp_path_factory.mktemp("behind")
    (folder / "proxy.secret").write_text(SECRET + "\n")
    register = ("--audience", API, "--data", with_database(folder / "data"))
    bound = members("client", "add", "bound", "--bound", "--scope", "read", *register)
    variables = {
        "MACAROON_CBAT_CERTIFICATE_FORMAT": "rfc9440",
        "MACAROON_CBAT_TRUSTED_PROXIES": f"x5t#S256={people['proxy'][0].thumbprint}",
        "MACAROON_CBAT_PROXY_SECRET_FILE": str(folder / "proxy.secret"),
    }
    with serving(folder / "data", **variables) as served:
        yield served, bound["client_secret"], folder / "data.log"


def ask(service: Any, client: Path, form: dict[str, str] | None = None, **headers: str) -> tuple[int, Any]:
    """Ask for a token over a connection with this client certificate; return status and answer."""
    served: Served = service[0]
    context = ssl.create_default_context(cafile=served.data / "ca.pem")
    context.load_cert_chain(client)
    connection = HTTPSConnection("localhost", int(served.issuer.rpartition(":")[2]), context=context)
    form = {"grant_type": "client_credentials"} | (
        form or {"client_id": "bound", "client_secret": service[1]}
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    try:
        connection.request("POST", "/oauth2/token", urlencode(form), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_the_proxy_speaks_for_the_holder(service: Any, people: Any):
    """A token that is minted over the connection of the proxy is bound to the holder's certificate alone."""
    holder, proxy = people["holder"][0], people["proxy"][1]
    shown = {"Client-Cert": SPELLINGS["rfc9440"](holder.der)[0], "Proxysecret": SECRET}
    status, answer = ask(service, proxy, **shown)
    assert status == 200, answer
    caveats = read_macaroon(answer["access_token"]).caveats
    assert caveat_text(confirmation(holder.thumbprint)) in caveats
    assert not any(people["proxy"][0].thumbprint.encode() in bytes(caveat) for caveat in caveats)


def test_no_other_sender_does(service: Any, people: Any):
    """A stranger with the secret, the proxy without it, and the holder itself bind nothing."""
    value = SPELLINGS["rfc9440"](people["holder"][0].der)[0]
    for name, headers in (
        ("stranger", {"Client-Cert": value, "Proxysecret": SECRET}),
        ("proxy", {"Client-Cert": value}),
        ("proxy", {"Client-Cert": value, "Proxysecret": SECRET + "x"}),
        ("proxy", {"Client-Cert": "::", "Proxysecret": SECRET}),
        ("holder", {}),
    ):
        status, answer = ask(service, people[name][1], **headers)
        assert (status, answer["error"]) == (400, "invalid_request"), (name, headers)
        assert "present a client certificate" in answer["error_description"]
    log = service[2].read_text()
    assert log.count("WARNING macaroon_cbat.service: a certificate header is ignored") == 3
    assert "which is not a trusted proxy" in log
    assert "without the proxy's secret" in log
    assert SECRET not in log


def test_a_silent_proxy_is_misconfigured(service: Any, people: Any):
    """A proxy that sends no Client-Cert does not say that there was no certificate: 503."""
    status, answer = ask(service, people["proxy"][1], Proxysecret=SECRET)
    assert (status, answer["error"]) == (503, "temporarily_unavailable")


def test_two_certificates_are_refused(service: Any, people: Any):
    """A header of the proxy with two certificates is refused."""
    value = SPELLINGS["rfc9440"](people["holder"][0].der)[0]
    shown = {"Client-Cert": f"{value}, {value}", "Proxysecret": SECRET}
    status, answer = ask(service, people["proxy"][1], **shown)
    assert (status, answer["error"]) == (400, "invalid_request")
    assert "cannot be told" in answer["error_description"]


def test_a_header_of_another_name_arrives(tmp_path: Path, people: Any):
    """A proxy may use a header that the embedded server drops where no proxy is configured to send it."""
    register = ("--audience", API, "--data", with_database(tmp_path / "data"))
    bound = members("client", "add", "bound", "--bound", "--scope", "read", *register)
    variables = {
        "MACAROON_CBAT_CERTIFICATE_FORMAT": "rfc9440",
        "MACAROON_CBAT_CERTIFICATE_HEADER": "X-Ssl-Client-Cert",
        "MACAROON_CBAT_TRUSTED_PROXIES": f"x5t#S256={people['proxy'][0].thumbprint}",
    }
    holder = people["holder"][0]
    shown = {"X-Ssl-Client-Cert": SPELLINGS["rfc9440"](holder.der)[0]}
    with serving(tmp_path / "data", **variables) as served:
        status, answer = ask((served, bound["client_secret"]), people["proxy"][1], **shown)
    assert status == 200, answer
    assert caveat_text(confirmation(holder.thumbprint)) in read_macaroon(answer["access_token"]).caveats


def test_a_chain_of_the_proxy_arrives(tmp_path: Path, people: Any):
    """Client-Cert-Chain completes a chain for tls_client_auth, and nothing does in its place (RFC 9440)."""
    today = datetime.now(UTC)
    root = authority("CN=Root", today=today)
    middle = authority("CN=Sub CA", root, today=today)
    holder = certified("CN=billing", middle, today=today)
    (tmp_path / "root.pem").write_bytes(root.pem)
    data = with_database(tmp_path / "data")
    register = ("--auth", "tls_client_auth", "--subject-dn", "CN=billing", "--data", data)
    members("client", "add", "it", "--scope", "read", *register)
    variables = {
        "MACAROON_CBAT_CERTIFICATE_FORMAT": "rfc9440",
        "MACAROON_CBAT_TRUSTED_PROXIES": f"x5t#S256={people['proxy'][0].thumbprint}",
        "MACAROON_CBAT_CLIENT_CA": str(tmp_path / "root.pem"),
    }
    shown = {"Client-Cert": SPELLINGS["rfc9440"](holder.der)[0], "form": {"client_id": "it"}}
    chains = {
        "": 401,
        SPELLINGS["rfc9440"](middle.der)[0]: 200,
        SPELLINGS["rfc9440"](root.der)[0]: 401,
        "x": 400,
    }
    with serving(tmp_path / "data", **variables) as served:
        found = {chain: ask((served, None), people["proxy"][1], **shown, **{"Client-Cert-Chain": chain})[0]
                 for chain in chains}  # fmt: skip
    assert found == chains
