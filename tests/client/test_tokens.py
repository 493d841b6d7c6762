import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import requests

from macaroon_cbat.client import ClientCertificate, TokenClient
from macaroon_cbat.client.granted_tokens import GrantedTokens
from macaroon_cbat.client.requests import MacaroonAuth, certificate_session
from macaroon_cbat.errors import Refused, SettingsError, Unavailable
from macaroon_cbat.macaroon.inspection import confirmations
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.client_files import Files, Pair
from tests.support.token_server import Server


def test_secret_is_sent_as_basic(server: Server) -> None:
    """With a secret a client authenticates by client_secret_basic, id and secret form-encoded first."""
    client = server.client(
        "basic", client_id="a:b c", client_secret="s+%/é", scope="read write", resource="https://api.example"
    )
    client()
    asked = server.asked("basic")[0]
    assert asked["basic"] == "a%3Ab%20c:s%2B%25%2F%C3%A9"
    assert asked["certificate"] is None
    assert asked["form"] == {
        "grant_type": ["client_credentials"],
        "scope": ["read write"],
        "resource": ["https://api.example"],
    }


def test_certificate_authenticates_without_a_secret(
    server: Server, certificate: ClientCertificate, pair: Pair
) -> None:
    """With a certificate and no secret a client names itself in the body and shows the certificate."""
    server.client("mutual", client_secret=None, certificate=certificate)()
    asked = server.asked("mutual")[0]
    assert (asked["basic"], asked["certificate"]) == ("", pair.thumbprint)
    assert asked["form"] == {"grant_type": ["client_credentials"], "client_id": ["billing"]}


def test_certificate_goes_to_the_mutual_tls_endpoint(server: Server, certificate: ClientCertificate) -> None:
    """A client with a certificate uses the alias for mutual TLS, others the usual endpoint."""
    server.client("aliased", certificate=certificate)()
    server.client("aliased")()
    assert [asked["endpoint"] for asked in server.asked("aliased")] == ["mtls", "token"]


def test_token_is_kept(server: Server) -> None:
    """A token is fetched once while it is good."""
    client = server.client("kept")
    assert client() == client()
    assert len(server.asked("kept")) == 1


def test_token_is_renewed_before_it_expires(server: Server) -> None:
    """Within the leeway before expiry, at most half the lifetime, a call fetches a new token."""
    early = server.client("early", leeway=600)
    assert early() == early(), "half of 600 s have not passed"
    now = [1000.0]
    fleeting = server.client("fleeting", monotonic=lambda: now[0])
    first = fleeting()
    now[0] += 0.9
    assert fleeting() == first
    now[0] += 0.1
    assert fleeting() != first


def test_parallel_calls_fetch_once(server: Server) -> None:
    """Calls at the same time make one request, and all get its token."""
    client, together, before = server.client("slow"), Barrier(8), len(server.asked("slow"))

    def call(_: int) -> str:
        together.wait()
        return client()

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(call, range(8)))) == 1
    assert len(server.asked("slow")) == before + 1


def test_discarded_token_is_not_returned_again(server: Server) -> None:
    """A rejected token is fetched anew once, however many requests it was rejected for."""
    client = server.client("discarding")
    rejected = client()
    client.discard(rejected)
    fresh = client()
    client.discard(rejected)
    assert rejected != fresh == client()
    assert len(server.asked("discarding")) == 2


def test_bound_token_follows_the_certificate(
    server: Server, certificate: ClientCertificate, files: Files, pair: Pair, other_pair: Pair
) -> None:
    """A token that the service bound to the certificate is replaced when the certificate is."""
    client = server.client("bound", certificate=certificate)
    assert confirmations(read_macaroon(client())) == {pair.thumbprint}
    assert client() == client()
    files.write(other_pair)
    with certificate_session(MacaroonAuth(client, certificate), server.ca) as session:
        seen = session.get(server.url("/api"), timeout=60).json()
    assert seen["certificate"] == other_pair.thumbprint
    assert len(server.asked("bound")) == 2


def test_revoked_token_is_fetched_anew(server: Server, certificate: ClientCertificate) -> None:
    """The request succeeds with a new token when the resource server rejects the old one."""
    client = server.client("revoked")
    with certificate_session(MacaroonAuth(client, certificate), server.ca) as session:
        server.revoke(session.get(server.url("/api"), timeout=60).json()["jti"])
        assert session.get(server.url("/api"), timeout=60).status_code == 200
    assert len(server.asked("revoked")) == 2


@pytest.mark.parametrize(
    ("temper", "status", "code", "says"),
    [
        ("refusing", 400, "invalid_scope", r"not for you\x1b[2J"),
        ("unauthenticated", 401, "invalid_client", ""),
        ("teapot", 418, None, "does not answer as OAuth requires"),
        ("page", 200, None, "does not answer as OAuth requires"),
        ("empty", 200, None, "missing required field `access_token`"),
        ("nested", 200, None, "nested too deeply"),
        ("nested-refusal", 400, None, "nested too deeply"),
        ("tokenless", 200, None, "$.access_token"),
        ("untyped", 200, None, "$.token_type"),
        ("endless", 200, None, "missing required field `expires_in`"),
        ("expired", 200, None, "$.expires_in"),
        ("opaque", 200, None, "no macaroon"),
        ("huge", 200, None, "more than 65536 bytes"),
        ("moved", 307, None, "does not answer as OAuth requires"),
        ("unpublished", 404, None, "/.well-known/oauth-authorization-server/unpublished is missing"),
        ("foreign", 200, None, "is 'https://other.example', another server: give that one"),
        ("plain", 200, None, "$.token_endpoint"),
    ],
)
def test_no_and_nonsense_are_refused(
    server: Server, temper: str, status: int, code: str | None, says: str
) -> None:
    """An error, and an answer that RFC 6749 or RFC 8414 do not know, is Refused with its status and code."""
    with pytest.raises(Refused) as caught:
        server.client(temper)()
    assert (caught.value.status, caught.value.code) == (status, code)
    assert says in caught.value.description


def unreachable(_: Server, __: Path) -> TokenClient:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        issuer = f"https://127.0.0.1:{closed.getsockname()[1]}"
    return TokenClient(issuer=issuer, client_id="billing", client_secret="s3cret")


def of_another_ca(server: Server, other_ca: Path) -> TokenClient:
    return server.client("usual", ca=other_ca)


def hanging(server: Server, _: Path) -> TokenClient:
    return server.client("hanging", timeout=0.3)


def broken(server: Server, _: Path) -> TokenClient:
    return server.client("broken")


@pytest.mark.parametrize("make", [unreachable, of_another_ca, hanging, broken])
def test_no_answer_is_unavailable(
    server: Server, tmp_path: Path, pair: Pair, make: Callable[[Server, Path], TokenClient]
) -> None:
    """A service out of reach, of another CA, too slow or out of order is Unavailable, and never a token."""
    (tmp_path / "other-ca.pem").write_bytes(pair.certificate)
    with pytest.raises(Unavailable):
        make(server, tmp_path / "other-ca.pem")()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"issuer": "http://issuer.example"}, "does not begin with https"),
        ({"issuer": "https://issuer.example?a=b"}, "has a query"),
        ({"client_secret": None}, "give one of them"),
    ],
)
def test_unusable_settings_are_named(settings: dict[str, str | None], says: str) -> None:
    """Settings that could not work are a SettingsError when the client is made."""
    usable = {"issuer": "https://issuer.example", "client_id": "billing", "client_secret": "s3cret"}
    with pytest.raises(SettingsError, match=says):
        TokenClient(**{**usable, **settings})  # type: ignore[arg-type]


def test_netrc_has_no_say(
    server: Server, certificate: ClientCertificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry of a .netrc for the host never takes the place of the client's own credentials."""
    (tmp_path / "netrc").write_text("machine localhost login thief password thief\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server.client("netrc")()
    server.client("netrc", client_secret=None, certificate=certificate)()
    assert [asked["basic"] for asked in server.asked("netrc")] == ["billing:s3cret", ""]


def test_secrets_do_not_print(
    server: Server, certificate: ClientCertificate, caplog: pytest.LogCaptureFixture
) -> None:
    """No token and no secret stands in a repr, in a log at any level or in an error."""
    caplog.set_level("DEBUG")
    client = server.client("secretive", client_secret="0pen-sesame", certificate=certificate)
    auth = MacaroonAuth(client, certificate)
    with certificate_session(auth, server.ca) as session:
        request = session.prepare_request(requests.Request("GET", server.url("/api")))
        child = request.headers["Authorization"].removeprefix("Bearer ")
        token = session.send(request, timeout=60).json()["token"]
        granted = GrantedTokens(client.service, certificate, scope=None, resource=None, leeway=30).current()
        shown = [caplog.text, *map(repr, (client, auth, granted, certificate, request.headers))]
    assert child == token
    with pytest.raises(Refused) as caught:
        server.client("refusing", client_secret="0pen-sesame")()
    shown += [str(caught.value), repr(caught.value)]
    for secret in (client(), token, granted.text, "0pen-sesame", "0pen"):
        assert secret not in "".join(shown)
