"""Trusted issuers, on every kind of database."""

import msgspec
import pytest

from macaroon_cbat.errors import Conflict, InvalidRequest, Unavailable
from macaroon_cbat.stores.trust import TrustedIssuer, read_trust
from macaroon_cbat.stores.trusted_issuers import MEMORY_SECONDS, TrustedIssuers
from tests.support.databases import NOW
from tests.support.federated import IDP, PEOPLE, WORKLOAD

TRUSTED = read_trust(WORKLOAD, TrustedIssuer)


@pytest.fixture
def trusted(stores):
    return stores.trusted_issuers


def test_trust_is_found_as_it_was_added(trusted):
    """Every member comes back as it was added, by its name and by its issuer."""
    record = trusted.add("idp", TRUSTED, NOW)
    assert (record.name, record.trusted, record.created_at) == ("idp", TRUSTED, NOW)
    assert (trusted.find("idp"), trusted.all(), trusted.of(IDP)) == (record, [record], (record,))
    assert (trusted.find("other"), trusted.of("https://other.example")) == (None, ())


def test_several_trusts_of_one_issuer(trusted):
    """An issuer is trusted under several names, each for its own workload."""
    names = [trusted.add(name, TRUSTED, NOW).name for name in ("a", "b")]
    assert [record.name for record in trusted.of(IDP)] == names


def test_a_name_is_taken_once(trusted):
    """A second trust of one name is a conflict, and the first one stays."""
    trusted.add("idp", TRUSTED, NOW)
    with pytest.raises(Conflict):
        trusted.add("idp", read_trust(PEOPLE, TrustedIssuer), NOW)
    assert trusted.find("idp").trusted == TRUSTED


def test_removed_trust(trusted):
    """Trust that is removed is gone at once in this process, and is removed once."""
    trusted.add("idp", TRUSTED, NOW)
    assert trusted.remove("idp")
    assert (trusted.of(IDP), trusted.remove("idp")) == ((), False)


@pytest.mark.parametrize("name", ["", "a:b", "a b", "a\0b", "\u00e9", "x" * 65])
def test_names_that_are_none(trusted, name):
    """A name that a subject could not bear is refused, and names nothing."""
    with pytest.raises(InvalidRequest):
        trusted.add(name, TRUSTED, NOW)
    assert (trusted.find(name), trusted.remove(name)) == (None, False)


def test_trust_that_cannot_be_audited(trusted):
    """An error of the audit adds nothing."""

    def audit() -> None:
        raise Unavailable("full")

    with pytest.raises(Unavailable):
        trusted.add("idp", TRUSTED, NOW, audit=audit)
    assert trusted.all() == []


def test_what_another_process_removes(stores):
    """Trust that another process removes is used for MEMORY_SECONDS more, and no longer."""
    now = [0.0]
    here = TrustedIssuers(stores.database, lambda: now[0])
    here.add("idp", TRUSTED, NOW)
    assert here.of(IDP)
    stores.trusted_issuers.remove("idp")
    assert here.of(IDP)
    now[0] += MEMORY_SECONDS
    assert here.of(IDP) == ()


def test_every_member_is_stored(trusted):
    """No member of a trust is lost in the database."""
    members = {name: getattr(TRUSTED, name) for name in TRUSTED.__struct_fields__}
    changed = {"jwks": None, "jwks_uri": f"{IDP}/jwks", "issuer_ca": "x", "private_addresses": True}
    full = read_trust(
        msgspec.to_builtins(members) | changed | {"reusable": True, "subject": "sub"}, TrustedIssuer
    )
    assert trusted.add("idp", full, NOW).trusted == trusted.find("idp").trusted == full
