"""`token list`, `token end` and `grant list`: refresh families over TLS and on the database."""

import re
from contextlib import contextmanager
from http.client import HTTPSConnection
from json import loads
from ssl import create_default_context
from time import time
from urllib.parse import urlencode, urlsplit

import pytest

from macaroon_cbat.certificate.thumbprint import thumbprint_of
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service import settings_from_environment
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.refresh_families import RefreshFamilies
from macaroon_cbat.stores import open_stores
from tests.support.command_line import API, call, complaint, members, out, serving
from tests.support.refresh import PHONE, WEB, family_of, phone_metadata, web_metadata

SECRET = "Gd4k-Hs7wQ_zX2Ym9Jr5"


@contextmanager
def stores_of(data):
    settings = settings_from_environment({}, data=data)
    stores = open_stores(settings.database_url, settings.wrapping_key, EpochSeconds(int(time())))
    try:
        yield stores
    finally:
        stores.database.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Run a service at which an application, a phone and an operator are registered."""
    folder = tmp_path_factory.mktemp("grants")
    with serving(folder / "data") as served:
        served.secret, served.ops = folder / "web.secret", folder / "ops.secret"
        served.secret.write_text(SECRET)
        out("client", "add", "ops", "--scope", "admin", "--secret-file", served.ops, "--data", served.data)
        with stores_of(served.data) as stores:
            now = EpochSeconds(int(time()))
            stores.clients.add(WEB, web_metadata(client_name="The shop"), secret=SECRET, now=now)
            stores.clients.add(PHONE, phone_metadata(), secret=None, now=now)
        yield served


@pytest.fixture
def begun(service):
    """Return what begins a family, as a grant of people does, and returns its refresh token."""

    def begin(client_id=WEB, **changes):
        rights = {"subject": "user:alice", "scope": "read", "audience": API} | changes
        with stores_of(service.data) as stores:
            client = stores.clients.look_up(client_id)
            families = RefreshFamilies(service.issuer, stores.families, settings_in(service).refresh)
            return families.begin(Authorization(client=client, **rights), EpochSeconds(int(time())))

    return begin


def settings_in(service):
    return settings_from_environment({}, data=service.data)


def as_web(service):
    return (*service.access, "--client-id", WEB, "--client-secret-file", service.secret)


def test_a_client_lists_and_ends_its_logins(service, begun):
    """`token list` shows the client's families, by lines or JSON, and `token end` ends one."""
    family = family_of(begun())
    [line] = [one for one in out("token", "list", *as_web(service)).splitlines() if family in one]
    assert re.fullmatch(rf'{family}  web  user:alice  "read"  {API}  begun .*Z  used .*Z  until .*Z', line)
    [shown] = [one for one in members("token", "list", *as_web(service)) if one["family"] == family]
    assert (shown["client_name"], shown["label"]) == ("The shop", None)
    assert out("token", "end", family, *as_web(service)) == f"ended {family}\n"
    assert family not in out("token", "list", *as_web(service))
    line = complaint(call("token", "end", family, *as_web(service)), 1)
    assert "no live refresh family of yours has this name" in line


@pytest.mark.parametrize("family", ["-h" + "A" * 20, "--" + "A" * 20])
def test_the_name_of_a_login_may_begin_with_a_hyphen(service, family):
    """`token end` takes a name that looks like an option: one family in 64 has such a name."""
    line = complaint(call("token", "end", family, *as_web(service)), 1)
    assert "no live refresh family of yours has this name" in line


def test_a_public_client_sees_those_of_its_certificate(service, begun, certificate, identity):
    """A phone lists and ends the families that are bound to the certificate which it presents."""
    mine = family_of(begun(PHONE, certificate=thumbprint_of(identity.der)))
    other = family_of(begun(PHONE, certificate="A" * 43))
    as_phone = (*service.access, "--client-id", PHONE, "--cert", certificate)
    listed = out("token", "list", *as_phone)
    assert mine in listed
    assert other not in listed
    assert out("token", "end", mine, *as_phone) == f"ended {mine}\n"


def test_an_operator_lists_alike(service, begun, certificate):
    """`grant list` prints the same over HTTP as on the database, of all, a client or a subject."""
    begun(subject="user:bob")
    over = (*service.access, "--client-id", "ops", "--client-secret-file", service.ops, "--cert", certificate)
    for option in ((), ("--json",), ("--of", WEB), ("--subject", "user:bob")):
        there = out("grant", "list", *option, *over)
        assert there == out("grant", "list", *option, "--data", service.data)
        assert "user:bob" in there
    assert out("grant", "list", "--of", "nosuch", *over) == ""


def test_an_operator_revokes_a_login(service, begun):
    """`revoke family` ends a live family, as `grant list` shows."""
    family = family_of(begun())
    out("revoke", "family", family, "--data", service.data)
    assert family not in out("grant", "list", "--data", service.data)


def test_a_refresh_over_tls(service, begun, certificate, identity):
    """A phone goes on from refresh to refresh over real TLS with its certificate, and not without it."""
    token = begun(PHONE, certificate=thumbprint_of(identity.der))
    status, _ = refresh(service, token, None)
    assert status == 401
    for _ in range(3):
        status, answer = refresh(service, token, certificate)
        assert (status, answer["token_type"]) == (200, "Bearer")
        token = answer["refresh_token"]


def refresh(service, token, certificate):
    """Send a refresh token over a new connection, with or without the certificate."""
    context = create_default_context(cafile=service.data / "ca.pem")
    if certificate is not None:
        context.load_cert_chain(certificate)
    connection = HTTPSConnection(urlsplit(service.issuer).netloc, context=context, timeout=60)
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": PHONE}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/oauth2/token", urlencode(form), headers)
    answer = connection.getresponse()
    body = loads(answer.read())
    connection.close()
    return answer.status, body
