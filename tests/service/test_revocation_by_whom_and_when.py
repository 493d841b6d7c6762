"""Acknowledged revocations when registrations, keys, audiences and clocks change: each has taken effect."""

import pytest
from msgspec import UNSET

from macaroon_cbat.errors import Revoked
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW
from macaroon_cbat.macaroon.verification import verify
from tests.support.databases import NOW
from tests.support.service import API, OTHER_API, SECRETS, Service, client_metadata, grant_of, refused

INACTIVE = {"active": False}


def accepted(answer) -> None:
    assert (answer.status_code, answer.json) == (200, {}), answer.text


def test_a_client_registered_anew_takes_back_what_its_name_has(service):
    """A token of an earlier registration of the name is the name's: taken back, and not only said to be."""
    token = service.token()
    service.stores.clients.remove("billing", lambda: service.now, lasting=600)
    metadata = client_metadata(scope="read write audit")
    service.stores.clients.add("billing", metadata, secret=SECRETS["billing"], now=NOW + 5)
    service.now += 5
    accepted(service.revoke(token))
    assert service.introspect(token) == INACTIVE


def test_a_removed_client_is_not_told_that_it_revoked(service):
    """A client that was removed is no client: 401, not 200."""
    token = service.token("payroll")
    service.app.extensions["macaroon_cbat"].clients.remove("payroll", lambda: service.now, lasting=600)
    refused(service.revoke(token, "payroll"), 401, "invalid_client")


def test_a_token_of_a_rotated_key_is_taken_back_everywhere(service):
    """After two rotations a token is still found, and its revocation reaches those who verify offline."""
    token = service.token()
    service.stores.root_keys.rotate(NOW)
    service.stores.root_keys.rotate(NOW + 1)
    accepted(service.revoke(token))
    assert service.introspect(token) == INACTIVE
    assert grant_of(token).jti in fed(service)


def test_a_token_of_a_retired_key_was_inactive(service):
    """A token whose key is retired is inactive before and after, and offline verifiers know of the key."""
    token = service.token()
    kid = grant_of(token).kid
    service.stores.root_keys.rotate(NOW)
    service.stores.root_keys.retire(kid, NOW, revoked_until=NOW + 1000)
    assert service.introspect(token) == INACTIVE
    accepted(service.revoke(token))
    assert kid in fed(service)


@pytest.mark.parametrize("aud", [(API, OTHER_API), UNSET], ids=["two audiences", "none"])
def test_a_token_of_several_audiences_is_taken_back_at_each(service, aud):
    """A revoked token for several audiences is inactive at each, and in the feed of each."""
    token = service.minted(aud=aud)
    assert service.introspect(token, "other-api")["active"] is True
    accepted(service.revoke(token))
    assert [service.introspect(token, one) for one in ("api", "other-api")] == [INACTIVE] * 2
    assert grant_of(token).jti in fed(service, API)
    assert grant_of(token).jti in fed(service, OTHER_API)


def test_a_token_that_the_slowest_resource_server_takes_is_revoked(service):
    """A token is revoked as long as the most lenient guard with the slowest clock would take it."""
    token = service.token()
    slowest = Access(now=NOW + 600 + LONGEST_CLOCK_SKEW - 1, clock_skew=LONGEST_CLOCK_SKEW, audience=API)
    assert verify(token, service.keys(), slowest, require_certificate=False).client_id == "billing"
    service.now = float(slowest.now + LONGEST_CLOCK_SKEW)
    accepted(service.revoke(token))
    assert grant_of(token).jti in fed(service)
    with pytest.raises(Revoked):
        verify(
            token, service.keys(), slowest, require_certificate=False, revocations=service.stores.revocations
        )


def fed(service: Service, audience: str = API) -> list[str]:
    """Return the names in the feed of an audience."""
    return [decision.value for decision in service.stores.revocations.after(0, audience).decisions]
