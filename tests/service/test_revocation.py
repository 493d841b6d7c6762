import msgspec
import pytest

from macaroon_cbat.macaroon.caveats import Expiry, Scope, confirmation
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW
from macaroon_cbat.macaroon.identifier import identifier_text
from macaroon_cbat.macaroon.keys import RootKey, audience_key
from macaroon_cbat.macaroon.minting import attenuate, mint
from macaroon_cbat.macaroon.revocation import KEPT_LONGER_SECONDS
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.databases import NOW
from tests.support.service import API, ISSUER, SECRETS, client_metadata, grant_of, refused
from tests.support.tokens import spell

INACTIVE = {"active": False}


def revoked_ids(service) -> list[str]:
    with service.stores.database.reading() as connection:
        return list(connection.exec_driver_sql("SELECT value FROM revocations").scalars())


def accepted(answer):
    assert (answer.status_code, answer.json) == (200, {})
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_client_takes_its_token_back(service, certificate):
    """A token that its client revoked is inactive from then on, with all its children (RFC 7009 2)."""
    token = service.token()
    child = attenuate(token, [Scope("read"), confirmation(certificate.thumbprint)])
    grandchild = attenuate(child, [Expiry(NOW + 30)])
    assert service.introspect(grandchild, "comparing-api")["active"] is True
    accepted(service.revoke(token))
    assert [service.introspect(one, "comparing-api") for one in (token, child, grandchild)] == [INACTIVE] * 3


def test_a_child_takes_the_whole_family_back(service):
    """Revoking a child revokes the token that it was made from: they have one identifier."""
    token = service.token()
    accepted(service.revoke(attenuate(token, [Scope("read")])))
    assert service.introspect(token) == INACTIVE


def test_other_tokens_stay(service):
    """Revoking one token leaves every other token of the client as it was."""
    token, other = service.token(), service.token()
    accepted(service.revoke(token))
    assert service.introspect(other)["active"] is True


def test_revoking_twice_is_no_error(service):
    """A token that was revoked already is revoked: 200 (RFC 7009 2.2)."""
    token = service.token()
    for _ in range(3):
        accepted(service.revoke(token))
    assert revoked_ids(service) == [grant_of(token).jti]


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", ""])
def test_a_hint_is_a_hint(service, hint):
    """A token is found whatever its hint says (RFC 7009 2.1)."""
    token = service.token()
    accepted(service.revoke(token, token_type_hint=hint))
    assert service.introspect(token) == INACTIVE


@pytest.mark.parametrize("narrowed", [False, True], ids=["as it is", "attenuated"])
@pytest.mark.parametrize("client", ["payroll", "api", "knowing-api"])
def test_another_clients_token_stays(service, client, narrowed):
    """No client revokes the token of another one, not even its resource server (RFC 7009 2.1)."""
    token = service.token()
    sent = attenuate(token, [Scope("read")]) if narrowed else token
    refused(service.revoke(sent, client), 400, "invalid_grant")
    assert service.introspect(token)["active"] is True
    assert revoked_ids(service) == []


def test_who_is_no_client_revokes_nothing(service, certificate):
    """Without authentication nothing is revoked."""
    token = service.token()
    refused(service.post("/oauth2/revoke", {"token": token}), 401, "invalid_client")
    refused(service.post("/oauth2/revoke", {"token": token}, None, certificate), 401, "invalid_client")
    wrong = {"token": token, "client_id": "billing", "client_secret": SECRETS["payroll"]}
    refused(service.post("/oauth2/revoke", wrong), 401, "invalid_client")
    assert service.introspect(token)["active"] is True


@pytest.mark.parametrize("text", ["x", "\u00e4", "A" * 60_000, "a b", "eyJhbGciOiJub25lIn0.e30."], ids=len)
def test_garbage_is_refused(service, text):
    """Text that is no macaroon is an error, a JWT included: it may be a live token that lost its form."""
    assert "send the bare token" in refused(service.revoke(text), 400, "invalid_request")
    assert revoked_ids(service) == []


def test_a_forged_token_revokes_nothing(service):
    """An attacker who writes another client's identifier without the key revokes and learns nothing."""
    token = service.token("payroll")
    grant = msgspec.structs.replace(grant_of(token), client_id="billing", sub="billing")
    honest = read_macaroon(token)
    rewritten = spell(msgspec.structs.replace(honest, identifier=identifier_text(grant)))
    foreign = mint(audience_key(RootKey(grant.kid, bytes(32)), API), ISSUER, grant)
    unknown = mint(
        audience_key(RootKey("elsewhere", bytes(32)), API),
        ISSUER,
        msgspec.structs.replace(grant, kid="elsewhere"),
    )
    for forged in (rewritten, foreign, unknown):
        assert grant_of(forged).jti == grant.jti
        accepted(service.revoke(forged))
    assert revoked_ids(service) == []
    assert service.introspect(token)["active"] is True


def test_a_token_of_another_use_revokes_nothing(service):
    """A refresh token or discharge of the same identifier is another macaroon, and revokes nothing yet."""
    for use in ("refresh", "discharge"):
        accepted(service.revoke(service.minted(use=use)))
    assert revoked_ids(service) == []


def test_an_expired_token_needs_no_revocation(service):
    """A token that is expired by every clock is answered with 200, and nothing is kept of it."""
    token = service.token()
    service.now = NOW + 600 + LONGEST_CLOCK_SKEW + KEPT_LONGER_SECONDS
    accepted(service.revoke(token))
    assert revoked_ids(service) == []


def test_a_token_that_lives_on_by_another_clock_is_revoked(service):
    """A token that expired here may be alive where the clock is 300 s behind and 300 s are allowed."""
    token = service.token()
    service.now = NOW + 600 + 2 * LONGEST_CLOCK_SKEW - 1
    accepted(service.revoke(token))
    assert revoked_ids(service) == [grant_of(token).jti]


def test_a_token_can_be_revoked_in_its_last_second(service):
    """A token can be revoked as long as it is active."""
    token = service.token()
    service.now = NOW + 599
    accepted(service.revoke(token))
    assert service.introspect(token) == INACTIVE


def test_a_child_that_has_expired_takes_the_token_back(service):
    """An expired child revokes its token, which may live on: its caveats are not judged here."""
    token = service.token()
    child = attenuate(token, [Expiry(NOW - 1)])
    accepted(service.revoke(child))
    assert service.introspect(token) == INACTIVE


def test_a_token_of_an_old_key_can_be_revoked(service):
    """A token that was made before a rotation can be revoked after it."""
    token = service.token()
    service.stores.root_keys.rotate(NOW)
    accepted(service.revoke(token))
    assert service.introspect(token) == INACTIVE


def test_a_public_client_takes_its_token_back(service, certificate, other_certificate):
    """A public client revokes its own tokens, by its certificate."""
    metadata = client_metadata(
        token_endpoint_auth_method="none", tls_client_certificate_bound_access_tokens=True
    )
    service.stores.clients.add("public", metadata, secret=None, now=NOW)
    token = service.minted(confirmation(certificate.thumbprint), client_id="public")
    form = {"token": token, "client_id": "public"}
    refused(service.post("/oauth2/revoke", form), 401, "invalid_client")
    accepted(service.post("/oauth2/revoke", form, None, certificate))
    assert service.introspect(token) == INACTIVE
