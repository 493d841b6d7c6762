"""The right to administer: bound macaroons of this very service with the scope `admin`."""

import pytest

from macaroon_cbat.macaroon.caveats import Expiry, Method, PathPrefix, Scope, TargetUri
from tests.support.administrator import CLIENTS, KEYS, REVOCATIONS, administrator, state
from tests.support.databases import NOW
from tests.support.guarded_app import parameters
from tests.support.resource_server import register, token_for_service
from tests.support.service import API, ISSUER, refused

ENDPOINTS = (
    ("GET", CLIENTS),
    ("POST", CLIENTS),
    ("GET", CLIENTS + "/billing"),
    ("PATCH", CLIENTS + "/billing"),
    ("DELETE", CLIENTS + "/billing"),
    ("GET", KEYS),
    ("POST", KEYS + "/rotate"),
    ("POST", KEYS + "/some/retire"),
    ("GET", REVOCATIONS),
    ("POST", REVOCATIONS),
)
WITH_A_BODY = {("POST", CLIENTS), ("PATCH", CLIENTS + "/billing"), ("POST", REVOCATIONS)}
every_endpoint = pytest.mark.parametrize(("method", "path"), ENDPOINTS)


@pytest.fixture
def ops(service, certificate):
    """Return what asks as an administrator."""
    return administrator(service, certificate)


@every_endpoint
def test_nothing_else_is_said(ops, method, path):
    """A query, or a body where none is read, is refused: it is a mistake of the caller."""
    before = state(ops.service)
    refused(ops(method, path, query_string={"dry_run": "1"}), 400, "invalid_request")
    if (method, path) not in WITH_A_BODY:
        refused(ops(method, path, json={}), 400, "invalid_request")
    assert state(ops.service) == before


@every_endpoint
def test_only_the_scope_admin_opens(ops, method, path):
    """A macaroon attenuated to other scopes, or of a client without this one, is 403 and names the scope."""
    register(ops.service, "invoices", scope="read keys revocations")
    before = state(ops.service)
    for answer in (ops(method, path, Scope("keys")), ops(method, path, client="invoices")):
        refused(answer, 403, "insufficient_scope")
        assert parameters(answer)["scope"] == "admin"
    assert state(ops.service) == before


@every_endpoint
def test_no_weaker_credential_opens(ops, method, path, certificate, other_certificate):
    """Without a token, unbound, expired or over another connection: 401, and nothing changes."""
    before, service = state(ops.service), ops.service
    unbound = {"Authorization": f"Bearer {token_for_service(service, 'ops')}"}
    elsewhere = {"Authorization": f"Bearer {service.token('ops', resource=API)}"}
    for headers in (unbound, elsewhere):
        answer = service.open(path, certificate, method=method, headers=headers)
        refused(answer, 401, "invalid_token")
        assert parameters(answer)["error"] == "invalid_token"
    refused(service.open(path, certificate, method=method), 401, "missing_token")
    for over in (other_certificate, None):
        refused(ops(method, path, over=over), 401, "invalid_token")
    refused(ops(method, path, Expiry(NOW)), 401, "invalid_token")
    assert state(service) == before


@every_endpoint
def test_caveats_about_the_request_count(ops, method, path):
    """A macaroon for another path, method or target is refused, and one for this request passes."""
    before = state(ops.service)
    for caveat in (
        PathPrefix("/resource"),
        PathPrefix(path + "/below"),
        Method("PUT"),
        TargetUri(ISSUER + path + "/other"),
        TargetUri("https://evil.example" + path),
    ):
        refused(ops(method, path, caveat), 401, "invalid_token")
    assert state(ops.service) == before
    honest = PathPrefix("/admin"), PathPrefix(path), Method(method), TargetUri(ISSUER + path)
    assert ops(method, path, *honest).status_code not in (401, 403)


def test_who_may_not_ask_learns_nothing(ops):
    """A stranger's question is not even read: the refusal is about the stranger."""
    for path in (CLIENTS + "/unknown", CLIENTS + "/billing"):
        refused(ops("GET", path, Scope("keys")), 403, "insufficient_scope")
    refused(ops("POST", CLIENTS, Scope("keys"), data=b"{"), 403, "insufficient_scope")


def test_a_removed_administrator_is_out(ops):
    """An administrator that removes its own client cannot ask again with the token it still has."""
    token = token_for_service(ops.service, "ops")
    assert ops("DELETE", CLIENTS + "/ops", token=token).status_code == 204
    refused(ops("GET", KEYS, token=token), 401, "invalid_token")
