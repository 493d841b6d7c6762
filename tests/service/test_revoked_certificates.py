"""A revoked certificate is no certificate any more."""

import pytest

from macaroon_cbat.macaroon.caveats import confirmation
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.service.admin.revocable import NEVER, expiry_of
from macaroon_cbat.service.settings import LONGEST_LIFETIME
from tests.support.databases import NOW
from tests.support.service import GRANT_TYPE, client_metadata, grant_of, refused

INACTIVE = {"active": False}


def revoke(service, kind: str, value: str) -> None:
    service.stores.revocations.revoke(kind, value, now=int(service.now), expires_at=expiry_of(kind, NOW))


@pytest.fixture
def registered(service, certificate, other_certificate):
    """Register one client of each kind that presents a certificate."""
    by_certificate = {
        "own": client_metadata(
            token_endpoint_auth_method="self_signed_tls_client_auth",
            certificates=(certificate.thumbprint, other_certificate.thumbprint),
        ),
        "bound": client_metadata(
            token_endpoint_auth_method="self_signed_tls_client_auth",
            certificates=(certificate.thumbprint, other_certificate.thumbprint),
            tls_client_certificate_bound_access_tokens=True,
        ),
    }
    for name, metadata in by_certificate.items():
        service.stores.clients.add(name, metadata, secret=None, now=NOW)
    return service


@pytest.mark.parametrize("client", ["own", "bound"])
def test_a_revoked_certificate_mints_nothing(registered, certificate, other_certificate, client):
    """A client whose certificate is revoked gets no token with it, and one with its other certificate."""
    assert registered.token(None, certificate, client_id=client)
    revoke(registered, "certificate", certificate.thumbprint)
    registered.app.extensions["macaroon_cbat"].forget()  # as a second later
    refused(registered.ask_token(None, certificate, client_id=client), 401, "invalid_client")
    assert registered.token(None, other_certificate, client_id=client)


def test_a_secret_does_not_help(registered, certificate, other_certificate):
    """A client with the right secret gets no token over a connection with a revoked certificate."""
    revoke(registered, "certificate", certificate.thumbprint)
    refused(registered.ask_token("billing", certificate), 401, "invalid_client")
    assert registered.token("billing", other_certificate)
    assert registered.token("billing")


def test_a_revoked_certificate_learns_and_revokes_nothing(registered, certificate, other_certificate):
    """No client introspects or revokes over a connection with a revoked certificate."""
    token = registered.token()
    revoke(registered, "certificate", certificate.thumbprint)
    for path, client in (("/oauth2/introspect", "api"), ("/oauth2/revoke", "billing")):
        answer = registered.post(path, {"token": token}, client, certificate)
        refused(answer, 401, "invalid_client")
    assert registered.introspect(token)["active"] is True
    answer = registered.post("/oauth2/introspect", {"token": token}, "api", other_certificate)
    assert answer.json["active"] is True


def test_a_token_bound_to_a_revoked_certificate_is_inactive(registered, certificate, other_certificate):
    """A token bound to a revoked certificate is inactive; one that is unbound or bound to another lives."""
    token = registered.token()
    children = [attenuate(token, [confirmation(one.thumbprint)]) for one in (certificate, other_certificate)]
    revoke(registered, "certificate", certificate.thumbprint)
    assert registered.introspect(children[0], "comparing-api") == INACTIVE
    assert registered.introspect(children[1], "comparing-api")["active"] is True
    assert registered.introspect(token)["active"] is True


def test_the_refusal_names_the_certificate_in_the_log(registered, certificate, caplog):
    """The log says which certificate was refused; the caller learns only that the client is invalid."""
    revoke(registered, "certificate", certificate.thumbprint)
    with caplog.at_level("INFO", "macaroon_cbat"):
        answer = registered.post("/oauth2/token", {**GRANT_TYPE, "client_id": "own"}, None, certificate)
    assert certificate.thumbprint not in answer.text
    assert f"the certificate {certificate.thumbprint} is revoked" in caplog.text


@pytest.mark.parametrize(("kind", "value"), [("client", "billing"), ("subject", "billing")])
def test_later_tokens_of_a_client_live(service, kind, value):
    """The tokens of a client or subject up to its revocation are inactive; those minted later are active."""
    before = service.token()
    service.now = NOW + 5
    revoke(service, kind, value)
    at_once = service.token()
    service.now = NOW + 6
    after = service.token()
    assert [service.introspect(one) for one in (before, at_once)] == [INACTIVE] * 2
    assert service.introspect(after)["active"] is True
    assert service.introspect(service.token("payroll"))["active"] is True


def test_a_revoked_family_is_inactive(service):
    """Every token of a revoked family is inactive; those of another family, or none, live."""
    tokens = [service.minted(fam="f1"), service.minted(fam="f2"), service.token()]
    revoke(service, "family", "f1")
    assert [service.introspect(one)["active"] for one in tokens] == [False, True, True]


def test_a_retired_key_makes_its_tokens_inactive(service):
    """Retiring a key makes every token made with it inactive at once; those of the new key live."""
    old = service.token()
    service.stores.root_keys.rotate(NOW)
    forget(service)
    new = service.token()
    assert [service.introspect(one)["active"] for one in (old, new)] == [True, True]
    service.stores.root_keys.retire(grant_of(old).kid, NOW, revoked_until=expiry_of("key", NOW))
    assert service.introspect(old) == INACTIVE
    assert service.introspect(new)["active"] is True


def forget(service) -> None:
    """Let the service look at its keys again, as it does each second."""
    service.app.extensions["macaroon_cbat"].forget()


def test_keys_rotate_by_policy_while_minting(start):
    """With a rotation policy the service mints with the next key when the current one is old enough."""
    service = start(key_rotation=LONGEST_LIFETIME)
    current, coming = service.stores.root_keys.all()
    assert grant_of(service.token()).kid == current.kid
    service.now += LONGEST_LIFETIME - 1
    assert grant_of(last := service.token()).kid == current.kid
    service.now += 1
    assert grant_of(service.token()).kid == coming.kid
    assert service.introspect(last)["active"] is True
    service.now += LONGEST_LIFETIME
    service.token()
    states = {one.kid: one.state for one in service.stores.root_keys.records()}
    assert states[coming.kid] == "retiring"


def test_without_a_policy_keys_are_rotated_by_hand(service):
    """Without a rotation policy the service mints with one key for ever."""
    first = service.token()
    service.now += 1000 * LONGEST_LIFETIME
    assert grant_of(service.token()).kid == grant_of(first).kid


def test_a_revocation_lasts_as_long_as_what_it_concerns():
    """A certificate is revoked for good; the rest until the longest token has expired."""
    assert expiry_of("certificate", NOW) == NEVER
    for kind in ("token", "client", "subject", "family", "key"):
        assert expiry_of(kind, NOW) == NOW + LONGEST_LIFETIME + 2 * LONGEST_CLOCK_SKEW
