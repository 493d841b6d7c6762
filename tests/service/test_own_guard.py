"""The service before its own endpoints: scopes that are for it alone, and the guard that asks for them."""

import pytest

from macaroon_cbat.macaroon.caveats import Expiry, Method, PathPrefix, Scope, TargetUri, confirmation
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.administrator import administrator, state
from tests.support.databases import NOW, remove
from tests.support.forged_tokens import forged
from tests.support.guarded_app import parameters
from tests.support.resource_server import SCOPE, ask, register, rewritten, token_for_service
from tests.support.service import API, ISSUER, OTHER_API, client_metadata, refused

KEYS, FEED = "/resource/keys", "/resource/revocations"


@pytest.fixture
def served(service):
    register(service, "invoices", serves=(API,))
    return service


def granted(service, client="invoices", **form):
    answer = service.ask_token(client, **form)
    assert answer.status_code == 200, answer.text
    return answer.json["scope"]


def test_the_issuer_is_an_audience_of_reserved_scopes(served):
    """A client with reserved scopes gets exactly those for the service, and never elsewhere."""
    assert granted(served, resource=ISSUER) == "keys revocations"
    assert granted(served, resource=ISSUER, scope="revocations") == "revocations"
    assert granted(served, resource=API) == "read"
    assert granted(served) == "read"


@pytest.mark.parametrize(
    ("form", "code", "reason"),
    [
        ({"resource": ISSUER, "scope": "read"}, "invalid_scope", "'read' is not for the service itself"),
        ({"resource": API, "scope": "keys"}, "invalid_scope", f"request it with resource={ISSUER}"),
        ({"scope": "read keys"}, "invalid_scope", f"request it with resource={ISSUER}"),
        ({"resource": ISSUER, "scope": "admin"}, "invalid_scope", "'admin' is not registered"),
        ({"resource": ISSUER + "//"}, "invalid_target", "not registered for this client"),
        ({"resource": OTHER_API}, "invalid_target", "not registered for this client"),
    ],
)
def test_what_is_not_granted_is_said(served, form, code, reason):
    """A scope at the wrong audience is refused with the audience where it belongs."""
    assert reason.replace("'", "") in refused(served.ask_token("invoices", **form), 400, code).replace(
        "'", ""
    )


def test_the_service_is_closed_to_others(service):
    """A client without a reserved scope gets no token for the service, registered as audience or not."""
    assert "keys, revocations, admin" in refused(
        service.ask_token("payroll", resource=ISSUER), 400, "invalid_target"
    )
    register(service, "curious", scope="read", audiences=(ISSUER,))
    refused(service.ask_token("curious"), 400, "invalid_target")


def test_a_client_of_the_service_alone_is_told_where_to_ask(service):
    """A client with nothing but reserved scopes is granted nothing for another audience."""
    register(service, "ops", scope="admin", audiences=())
    assert f"resource={ISSUER}" in refused(service.ask_token("ops"), 400, "invalid_scope")
    assert granted(service, "ops", resource=ISSUER) == "admin"


def test_a_bound_token_with_the_scope_passes(served, certificate):
    """The service lets its own bound token pass."""
    assert ask(served, KEYS, token_for_service(served), certificate).status_code == 200


def test_no_token_is_a_challenge_without_code(served, certificate):
    """Without credentials the challenge names no error (RFC 6750 3.1)."""
    answer = served.open(KEYS, certificate, method="GET")
    assert (answer.status_code, answer.json["error"]) == (401, "missing_token")
    assert parameters(answer) == {"realm": "macaroon_cbat"}


def test_an_unbound_token_is_refused(served, certificate):
    """An unbound token never passes here, over whatever connection."""
    token = token_for_service(served)
    for connection in (certificate, None):
        answer = ask(served, KEYS, token, connection, caveats=())
        assert "not certificate-bound" in refused(answer, 401, "invalid_token")
        assert parameters(answer)["error"] == "invalid_token"


def test_another_connection_is_refused(served, certificate, other_certificate):
    """A token bound to one certificate is refused over another connection, or one without."""
    token, caveats = token_for_service(served), [confirmation(certificate.thumbprint)]
    for connection in (other_certificate, None):
        refused(ask(served, KEYS, token, connection, caveats=caveats), 401, "invalid_token")


@pytest.mark.parametrize(
    "caveats",
    [
        [Expiry(NOW)],
        [Method("POST")],
        [TargetUri(ISSUER + "/resource/revocations")],
        [PathPrefix("/oauth2")],
    ],
    ids=["expired", "method", "target", "path"],
)
def test_caveats_count(served, certificate, caveats):
    """The service judges every caveat as a resource server does."""
    bound = [confirmation(certificate.thumbprint)]
    refused(
        ask(served, KEYS, token_for_service(served), certificate, caveats=bound + caveats),
        401,
        "invalid_token",
    )
    honest = [Expiry(NOW + 9), Method("GET"), TargetUri(ISSUER + KEYS), PathPrefix("/resource")]
    answer = ask(served, KEYS, token_for_service(served), certificate, caveats=bound + honest)
    assert answer.status_code == 200


def test_a_narrower_token_lacks_the_scope(served, certificate):
    """A token without the endpoint's scope is 403, and the challenge names the scope."""
    caveats = [confirmation(certificate.thumbprint), Scope("revocations")]
    answer = ask(served, KEYS, token_for_service(served), certificate, caveats=caveats)
    refused(answer, 403, "insufficient_scope")
    assert parameters(answer)["scope"] == "keys"


def test_tokens_for_others_are_refused(served, certificate):
    """A token for another audience, for none, or of another use opens nothing here."""
    for changes in ({"aud": API}, {"aud": (ISSUER, API)}):
        text = served.minted(confirmation(certificate.thumbprint), scope="keys", **changes)
        refused(ask(served, KEYS, text, certificate, caveats=()), 401, "invalid_token")
    text = served.minted(confirmation(certificate.thumbprint), use="refresh", aud=ISSUER, scope="keys")
    refused(ask(served, KEYS, text, certificate, caveats=()), 401, "invalid_token")


def test_revocations_count_at_once(served, certificate):
    """A revoked token, and a revoked certificate, are refused here from the next request on."""
    token, other = token_for_service(served), token_for_service(served)
    served.revoke(token, "invoices")
    refused(ask(served, KEYS, token, certificate), 401, "invalid_token")
    assert ask(served, KEYS, other, certificate).status_code == 200
    served.stores.revocations.revoke("certificate", certificate.thumbprint, now=NOW, expires_at=NOW + 9)
    refused(ask(served, KEYS, other, certificate), 401, "invalid_token")


def test_a_removed_client_is_refused(served, certificate):
    """Tokens of a client that is registered no more open nothing here."""
    token = token_for_service(served)
    remove(served.app.extensions["macaroon_cbat"], "invoices")
    refused(ask(served, KEYS, token, certificate), 401, "invalid_token")


def test_an_old_token_has_no_scope_that_its_client_lost(served, certificate):
    """A client that is registered for fewer scopes now keeps none of the others, whatever its token says."""
    token = token_for_service(served)
    assert ask(served, KEYS, token, certificate).status_code == 200
    rewritten(served, "invoices", scope="read revocations", serves=(API,))
    refused(ask(served, KEYS, token, certificate), 403, "access_denied")
    assert ask(served, FEED, token, certificate).status_code == 200
    rewritten(served, "invoices", scope="read", serves=(API,))
    for path in (KEYS, FEED):
        refused(ask(served, path, token, certificate), 403, "access_denied")


def test_an_old_token_has_no_audience_that_its_client_lost(served, certificate):
    """A client that serves another audience now gets that one's keys, and no others."""
    token = token_for_service(served)
    rewritten(served, "invoices", scope=SCOPE, serves=(OTHER_API,))
    [only] = ask(served, KEYS, token, certificate).json["audiences"]
    assert only["audience"] == OTHER_API
    refused(ask(served, KEYS, token, certificate, query={"audience": API}), 403, "access_denied")


def test_an_old_administrator_may_do_nothing(service, certificate):
    """A client that lost the scope admin changes nothing with the token that still says so."""
    ops = administrator(service, certificate)
    token = token_for_service(service, "ops")
    assert ops("GET", "/admin/keys", token=token).status_code == 200
    rewritten(service, "ops", scope="read keys")
    before = state(service)
    refused(ops("POST", "/admin/keys/rotate", token=token), 403, "access_denied")
    refused(ops("DELETE", "/admin/clients/billing", token=token), 403, "access_denied")
    assert state(service) == before


def test_a_garbled_token_is_refused(served, certificate):
    """A token that is no macaroon, or a forged one, is a 401."""
    token = attenuate(token_for_service(served), [confirmation(certificate.thumbprint)])
    for text in ("AAAA", forged(token)):
        refused(ask(served, KEYS, text, certificate, caveats=()), 401, "invalid_token")


def test_metadata_of_reserved_scopes_registers(service):
    """Registering reserved scopes is as registering any."""
    assert client_metadata(scope="keys revocations admin").scope == "keys revocations admin"
