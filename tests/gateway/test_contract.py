"""The answers that a proxy of each kind gets, over real sockets."""

from collections.abc import Callable

import pytest

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.macaroon.caveats import Expiry, Scope, read_caveats
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.keys import RootKey, audience_key
from tests.support.gateway_process import NO_PRINCIPAL, Answered, Running
from tests.support.gateway_tokens import good
from tests.support.proxy_requests import Asked
from tests.support.tls_servers import Client
from tests.support.tokens import API, GRANT

Ask = Callable[[Asked], Answered]


def test_the_holder_is_let_in(ask: Ask, holder: Client):
    """A bound token over its certificate's connection gets 200 and all five headers of its principal."""
    answer = ask(Asked(token=good(holder.der, Scope("read write")), certificate=holder.der))
    assert answer.status == 200
    assert answer.principal == {
        "Principalclient": "billing",
        "Principalsubject": "alice",
        "Principalscope": "read write",
        "Principaltokenid": GRANT.jti,
        "Principalcertificate": thumbprint_of(DerCertificate(holder.der)),
    }
    assert answer.body == b""


FORGER = audience_key(RootKey("k1", bytes(32)), API)
REFUSED = {
    "of another certificate": ("bound", "thief", "bound to certificate"),
    "without a certificate": ("bound", None, "the connection presented none"),
    "unbound": ("unbound", "holder", "no cnf caveat"),
    "expired": ("expired", "holder", "expired"),
    "forged": ("forged", "holder", "signature"),
    "nonsense": ("nonsense", "holder", ""),
    "no token": (None, "holder", "no Authorization header"),
}


@pytest.mark.parametrize(("token", "certificate", "why"), REFUSED.values(), ids=REFUSED)
def test_every_other_caller_is_refused(  # noqa: PLR0917 # fixtures
    ask: Ask,
    running: Running,
    clients: dict[str, bytes],
    token: str | None,
    certificate: str | None,
    why: str,
):
    """Without the right certificate and a good token for it the answer is 401, challenged and audited."""
    holder = clients["holder"]
    texts = {
        "bound": good(holder),
        "unbound": good(None),
        "expired": good(holder, Expiry(EpochSeconds(1_700_000_000))),
        "forged": good(holder, key=FORGER),
        "nonsense": "nonsense",
    }
    presented = clients.get(certificate or "")
    answer = ask(Asked(token=texts.get(token or ""), certificate=presented))
    assert (answer.status, answer.principal) == (401, {})
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith(f'Bearer realm="{API}"')
    assert ('error="invalid_token"' in challenge) == (token is not None)
    line = running.audit()[-1]
    assert (line["event"], line["status"], line["address"]) == ("admission.refused", 401, "192.0.2.7")
    assert why in line["reason"]
    assert line.get("certificate") == (presented and thumbprint_of(DerCertificate(presented)))


TOLD = {
    "of another certificate": (
        "thief",
        "cnf names another client certificate than the one of this connection",
    ),
    "without a certificate": (None, "no client certificate reached this server"),
}


@pytest.mark.parametrize(("certificate", "words"), TOLD.values(), ids=TOLD)
def test_the_failed_caveat_is_named(ask: Ask, clients: dict[str, bytes], certificate: str | None, words: str):
    """Through every proxy the client learns the caveat that failed, in the challenge and in the body."""
    answer = ask(Asked(token=good(clients["holder"]), certificate=clients.get(certificate or "")))
    assert answer.status == 401
    assert words in answer.headers["WWW-Authenticate"]
    assert words in answer.body.decode()


def test_a_scope_too_few_is_403(ask: Ask, running: Running, holder: Client):
    """A good token without the scope that the rule wants gets 403, which names the scope."""
    answer = ask(Asked(uri="/admin", token=good(holder.der), certificate=holder.der))
    assert (answer.status, answer.principal) == (403, {})
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert 'scope="root"' in answer.headers["WWW-Authenticate"]
    assert running.audit()[-1]["who"] == "billing"


def test_the_method_picks_the_rule(ask: Ask, holder: Client):
    """The scope that is wanted is that of the rule for this method, HEAD without a body included."""
    token = good(holder.der, Scope("read"))
    statuses = {
        method: ask(Asked(method=method, token=token, certificate=holder.der)).status
        for method in ("GET", "HEAD", "POST", "DELETE")
    }
    assert statuses == {"GET": 200, "HEAD": 200, "POST": 403, "DELETE": 403}


METHODS = {
    "small letters": "delete",
    "other letters": "Delete",
    "a list": "GET,DELETE",
    "a list with blanks": "GET, DELETE",
    "a digit": "GET1",
    "a long one": "A" * 33,
    "a hyphen first": "-GET",
    "an underscore": "GET_X",
}


@pytest.mark.parametrize("uri", ["/health", "/any", "/nothing"])
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_method_in_other_letters_opens_nothing(ask: Ask, kind: str, holder: Client, method: str, uri: str):
    """A text that is no method in capitals is 400 before any rule is looked up, on a public path as well."""
    answer = ask(Asked(method=method, uri=uri, token=good(holder.der), certificate=holder.der))
    assert (answer.status, answer.principal) == (403 if kind == "nginx" else 400, {})


@pytest.mark.parametrize("uri", ["/health", "/any"])
@pytest.mark.parametrize("method", ["TRACE", "TRACK"])
def test_an_echo_is_not_every_method(ask: Ask, kind: str, holder: Client, method: str, uri: str):
    """A rule for every method does not open TRACE, which it must name, and a public one neither."""
    answer = ask(Asked(method=method, uri=uri, token=good(holder.der), certificate=holder.der))
    is_known = kind != "envoy" or method == "TRACE"  # over HTTP, the parser reads registered methods alone
    assert (answer.status, answer.principal) == (403 if is_known else 400, {})


@pytest.mark.parametrize(
    "uri",
    ["/health/secret.json", "/health/Secret", "/health/secret%20", "/health/secret/", "/health/secret."],
)
def test_a_path_like_a_ruled_one_is_refused(ask: Ask, running: Running, uri: str):
    """A path that the server behind may take for one with a rule of its own gets 403, below a public one."""
    answer = ask(Asked(uri=uri))
    assert (answer.status, answer.principal) == (403, {})
    assert "could be taken for '/health/secret'" in running.audit()[-1]["reason"]


def test_no_rule_no_access(ask: Ask, running: Running, holder: Client):
    """A path that no rule is about is 403 with the best of tokens."""
    for uri in ("/", "/invoicesx", "/elsewhere?/invoices"):
        answer = ask(Asked(uri=uri, token=good(holder.der), certificate=holder.der))
        assert (answer.status, answer.principal) == (403, {})
        assert 'error="access_denied"' in answer.headers["WWW-Authenticate"]
        assert "no rule" in running.audit()[-1]["reason"]


@pytest.mark.parametrize(
    "uri", ["/health/../invoices", "/health/%2e%2e/x", "/health%2fx", "/health;x", "//health"]
)
def test_a_path_with_two_readings_is_refused(ask: Ask, running: Running, holder: Client, uri: str):
    """A path that a server behind could read differently is refused, even below a public one."""
    answer = ask(Asked(uri=uri, token=good(holder.der), certificate=holder.der))
    assert answer.status in (400, 403)
    assert answer.principal == {}
    assert "more than one way" in running.audit()[-1]["reason"]


def test_a_public_path_has_no_principal(ask: Ask):
    """A public path gets 200 without a token, and all five headers empty, so that a copy overwrites."""
    spoofed = tuple((name, "root") for name in NO_PRINCIPAL)
    answer = ask(Asked(uri="/health", more=spoofed))
    assert (answer.status, answer.principal) == (200, NO_PRINCIPAL)
    with_token = ask(Asked(uri="/health/live", token="nonsense"))
    assert (with_token.status, with_token.principal) == (200, NO_PRINCIPAL)


def test_what_the_client_claims_to_be_does_not_count(ask: Ask, holder: Client):
    """Principal headers that come with the question have no part in the answer."""
    spoofed = tuple((name, "root") for name in NO_PRINCIPAL)
    answer = ask(Asked(token=good(holder.der), certificate=holder.der, more=spoofed))
    assert answer.principal["Principalclient"] == "billing"


def test_the_caveats_see_the_clients_request(ask: Ask, holder: Client):
    """Method, path, target and address caveats are judged by the client's request, not by the question."""
    allowed = [
        b'{"htm":"GET"}',
        b'{"path":"/invoices/7"}',
        b'{"htu":"https://api.example/invoices/7"}',
        b'{"ip":"192.0.2.0/24"}',
    ]
    refused = [
        b'{"htm":"POST"}',
        b'{"path":"/health"}',
        b'{"htu":"https://api.example/invoices/8"}',
        b'{"ip":"127.0.0.0/8"}',
    ]
    token = good(holder.der, *(each for text in allowed for each in read_caveats(text)))
    assert ask(Asked(token=token, certificate=holder.der)).status == 200
    for caveat in refused:
        token = good(holder.der, *read_caveats(caveat))
        assert ask(Asked(token=token, certificate=holder.der)).status == 401, caveat


@pytest.mark.parametrize("connection", ["close, {}", "{}", "keep-alive, {}, {}"])
def test_hop_by_hop_headers_take_nothing_away(ask: Ask, clients: dict[str, bytes], connection: str):
    """A client that names our headers in Connection has none of them dropped or added here."""
    names = (
        "Clientcert",
        "X-Forwarded-Uri",
        "X-Forwarded-Tls-Client-Cert",
        "Authorization",
        "Principalclient",
    )
    token = good(clients["holder"])
    for name in names:
        more = (("Connection", connection.replace("{}", name)),)
        assert ask(Asked(token=token, certificate=clients["holder"], more=more)).status == 200
        assert ask(Asked(token=token, certificate=clients["thief"], more=more)).status == 401


def test_two_authorizations_are_refused(ask: Ask, running: Running, holder: Client):
    """Two Authorization headers are neither one of them: refused, and said in the audit log."""
    twice = (("Authorization", f"Bearer {good(holder.der)}"),)
    answer = ask(Asked(token=good(holder.der), certificate=holder.der, more=twice))
    assert answer.status in (400, 403)
    assert answer.principal == {}
    assert "more than" in running.audit()[-1]["reason"]
