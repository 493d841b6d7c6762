from base64 import b64encode

import pytest

from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from tests.support.databases import NOW, remove
from tests.support.service import GRANT_TYPE, SECRETS, basic, client_metadata, refused, told_of

SPECIAL = "p%40ss:w+rd /?&=\u00fc\u20ac"
RIGHT = SECRETS["billing"]


def ask(service, form, authorization=None, certificate=None):
    headers = {} if authorization is None else {"Authorization": authorization}
    return service.open("/oauth2/token", certificate, data=GRANT_TYPE | form, headers=headers)


def raw_basic(pair: str | bytes) -> str:
    return "Basic " + b64encode(pair.encode() if isinstance(pair, str) else pair).decode()


@pytest.fixture
def registered(service, certificate):
    """Clients of every method but tls_client_auth."""
    add = service.stores.clients.add
    add("special", client_metadata(), secret=SPECIAL, now=NOW)
    post = client_metadata(token_endpoint_auth_method="client_secret_post")
    add("post", post, secret=RIGHT, now=NOW)
    self_signed = client_metadata(
        token_endpoint_auth_method="self_signed_tls_client_auth", certificates=(certificate.thumbprint,)
    )
    add("self-signed", self_signed, secret=None, now=NOW)
    public = client_metadata(
        token_endpoint_auth_method="none", tls_client_certificate_bound_access_tokens=True
    )
    add("public", public, secret=None, now=NOW)
    return service


@pytest.mark.parametrize("client", ["billing", "post"])
def test_the_secret_in_the_header(registered, client):
    """A client authenticates by HTTP Basic (client_secret_basic)."""
    assert ask(registered, {}, basic(client, RIGHT)).status_code == 200


@pytest.mark.parametrize("client", ["billing", "post"])
def test_the_secret_in_the_form(registered, client):
    """A client authenticates by parameters in the body (client_secret_post)."""
    assert ask(registered, {"client_id": client, "client_secret": RIGHT}).status_code == 200


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_special_characters_are_encoded(registered, scheme):
    """Id and secret are form-urlencoded inside HTTP Basic, so that any character can be in them."""
    authorization = basic("special", SPECIAL).replace("Basic", scheme)
    assert ask(registered, {}, authorization).status_code == 200


def test_special_characters_in_the_form(registered):
    """A secret of any characters arrives as it is in a form."""
    assert ask(registered, {"client_id": "special", "client_secret": SPECIAL}).status_code == 200


def test_a_plus_is_a_space_inside_basic(registered):
    """Inside HTTP Basic a plus sign is a space, as in every form (RFC 6749 appendix B)."""
    registered.stores.clients.add("spaced", client_metadata(), secret="a b" * 6, now=NOW)
    assert ask(registered, {}, raw_basic("spaced:" + "a+b" * 6)).status_code == 200
    assert ask(registered, {}, raw_basic("spaced:" + "a%2Bb" * 6)).status_code == 401


@pytest.mark.parametrize(
    ("form", "authorization"),
    [
        pytest.param({}, basic("billing", "wrong"), id="a wrong secret"),
        pytest.param({}, basic("billing", ""), id="an empty secret"),
        pytest.param({}, basic("billing", RIGHT.swapcase()), id="the secret in the other case"),
        pytest.param({}, basic("billing", SECRETS["payroll"]), id="the secret of another client"),
        pytest.param({}, basic("unknown", RIGHT), id="an unknown client"),
        pytest.param({}, basic("", RIGHT), id="no client"),
        pytest.param({}, basic("self-signed", RIGHT), id="a secret of a client without one"),
        pytest.param({}, basic("public", ""), id="an empty secret of a public client"),
        pytest.param({}, raw_basic("billing"), id="Basic without a colon"),
        pytest.param({}, raw_basic(b"\xff\xfe:x"), id="Basic that is no UTF-8"),
        pytest.param({}, raw_basic("bill%ffing:x"), id="Basic that is no UTF-8 inside"),
        pytest.param({}, raw_basic("a\0b:x"), id="Basic with NUL"),
        pytest.param({}, raw_basic("a%00b:x"), id="Basic with NUL inside"),
        pytest.param({}, "Basic ????", id="Basic that is no base64"),
        pytest.param({}, "Basic \u00e9", id="Basic that is no ASCII"),
        pytest.param({}, "Basic \u00c3\u00a9", id="Basic with bytes of UTF-8"),
        pytest.param({}, "B\u00e4sic " + RIGHT, id="a scheme that is no ASCII"),
        pytest.param({}, raw_basic("billing:" + RIGHT).replace("=", "") + "=====", id="much padding"),
        pytest.param({}, "Basic\t" + raw_basic("billing:x")[6:], id="Basic and a tab"),
        pytest.param({}, basic("billing", RIGHT) + "," + basic("payroll", RIGHT), id="two in one header"),
        pytest.param({}, basic("billing", RIGHT) + " realm=x", id="Basic and more"),
        pytest.param({}, raw_basic("billing:%"), id="Basic with a lone percent"),
        pytest.param({}, raw_basic("billing:%zz"), id="Basic with no hexadecimal digits"),
        pytest.param({}, raw_basic("%e9:%e9"), id="Basic with encoded Latin-1"),
        pytest.param({}, raw_basic("billing:%ed%a0%80"), id="Basic with an encoded surrogate"),
        pytest.param({}, raw_basic("billing:%00"), id="Basic with an encoded NUL in the secret"),
        pytest.param({}, raw_basic("billing%0a:x"), id="Basic with an encoded line end"),
        pytest.param({}, raw_basic("billing:" + "x" * 100_000), id="Basic of 130 kB"),
        pytest.param({}, raw_basic("b" * 100_000 + ":x"), id="Basic with a client of 100 kB"),
        pytest.param({}, raw_basic(":"), id="Basic with a colon alone"),
        pytest.param({}, raw_basic(""), id="Basic of nothing"),
        pytest.param({}, "Basic", id="Basic alone"),
        pytest.param({}, "", id="an empty header"),
        pytest.param({}, "Bearer " + RIGHT, id="another scheme"),
        pytest.param({}, basic("billing", RIGHT).replace("Basic", "Digest"), id="Digest"),
        pytest.param({"client_id": "billing"}, None, id="no secret"),
        pytest.param({"client_id": "billing", "client_secret": ""}, None, id="an empty secret in the form"),
        pytest.param({"client_id": "billing", "client_secret": "no"}, None, id="a wrong secret in the form"),
        pytest.param(
            {"client_id": "unknown", "client_secret": RIGHT}, None, id="an unknown client in the form"
        ),
        pytest.param({"client_id": "unknown"}, None, id="an unknown client without a secret"),
        pytest.param({"client_secret": RIGHT}, None, id="a secret without a client"),
        pytest.param({}, None, id="nothing at all"),
        pytest.param({"client_id": "self-signed"}, None, id="a certificate client without certificate"),
        pytest.param({"client_id": "public"}, None, id="a public client without certificate"),
    ],
)
def test_every_failure_looks_alike(registered, form, authorization):
    """A failed client authentication of any kind gets the same answer, byte for byte."""
    answer = ask(registered, form, authorization)
    expected = ask(registered, {}, basic("unknown", "nothing"))
    refused(answer, 401, "invalid_client")
    assert told_of(answer) == told_of(expected)
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    "form",
    [
        pytest.param({"client_secret": RIGHT}, id="the secret in both places"),
        pytest.param({"client_id": "billing", "client_secret": RIGHT}, id="everything in both places"),
        pytest.param({"client_id": "payroll"}, id="two clients"),
    ],
)
def test_two_methods_at_once_are_refused(registered, form):
    """A client uses one method of authentication in a request (RFC 6749 2.3)."""
    assert "two client authentications" in refused(
        ask(registered, form, basic("billing", RIGHT)), 400, "invalid_request"
    )


def test_the_client_may_be_named_beside_basic(registered):
    """Naming the same client in the form, beside HTTP Basic, is not a second method."""
    assert ask(registered, {"client_id": "billing"}, basic("billing", RIGHT)).status_code == 200


def test_a_certificate_replaces_no_secret(registered, certificate):
    """A client that authenticates by a secret is not let in by a certificate, not even a registered one."""
    refused(ask(registered, {"client_id": "billing"}, None, certificate), 401, "invalid_client")
    refused(ask(registered, {}, basic("billing", "wrong"), certificate), 401, "invalid_client")


def test_the_registered_certificate_is_right(registered, certificate):
    """A self_signed_tls_client_auth client is let in by the certificate that it registered (RFC 8705 2.2)."""
    assert ask(registered, {"client_id": "self-signed"}, None, certificate).status_code == 200


def test_another_certificate_is_wrong(registered, certificate, other_certificate):
    """A self_signed_tls_client_auth client is not let in by any other certificate."""
    for shown in (other_certificate, b"no certificate", certificate.der + b"\0"):
        refused(ask(registered, {"client_id": "self-signed"}, None, shown), 401, "invalid_client")


def test_a_header_is_no_certificate(registered, certificate):
    """No header stands for a certificate, however it is called."""
    names = ("Client-Cert", "X-Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert")
    names += ("SSL_CLIENT_CERT", PEER_CERTIFICATE, "Macaroon-Cbat.Peer-Certificate")
    values = (f":{b64encode(certificate.der).decode()}:", b64encode(certificate.der).decode())
    for value in values:
        answer = registered.open(
            "/oauth2/token",
            data=GRANT_TYPE | {"client_id": "self-signed"},
            headers=dict.fromkeys(names, value),
        )
        refused(answer, 401, "invalid_client")


def test_a_certificate_and_a_secret_that_is_none(registered, certificate):
    """A client that has no secret, but sends one, is refused even with its certificate."""
    form = {"client_id": "self-signed", "client_secret": "anything"}
    refused(ask(registered, form, None, certificate), 401, "invalid_client")


def test_a_public_client_gets_no_token_in_its_own_name(registered, certificate):
    """Client credentials are for confidential clients: a client_id alone opens nothing (RFC 6749 4.4)."""
    answer = ask(registered, {"client_id": "public"}, None, certificate)
    assert "confidential clients" in refused(answer, 400, "unauthorized_client")


def test_a_removed_client_is_let_in_no_more(registered):
    """A client that was removed is unknown at once."""
    remove(registered.stores, "billing")
    refused(registered.ask_token(), 401, "invalid_client")
