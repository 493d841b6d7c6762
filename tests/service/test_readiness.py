"""The readiness of the service: each part that a request needs is named with its problem."""

from macaroon_cbat.server.readiness import Readiness
from macaroon_cbat.service.readiness import service_checks
from macaroon_cbat.stores import WrappingKey
from tests.support.databases import NOW, execute, without
from tests.support.service import Service

READY = {"database": None, "keys": None, "wrapping_key": None, "certificate": None}


def judged(service: Service, expires: int | None = None) -> dict[str, str | None]:
    """Run every check as the management page does."""
    return Readiness(service_checks(service.stores, lambda: expires, lambda: NOW)).problems()


def test_a_service_that_works_is_ready(service):
    """With database, keys, wrapping key and a certificate that is valid or another server's, all is well."""
    assert judged(service) == READY
    assert judged(service, expires=NOW + 1) == READY


def test_an_expired_certificate_is_named(service):
    """From the second of its expiry on clients refuse the certificate, and the probe says so."""
    assert judged(service, expires=NOW) == READY | {
        "certificate": "the server certificate expired on 2025-12-31 23:00 UTC: replace its file"
    }


def test_a_database_that_cannot_be_used_is_named(service):
    """The database says its reason; what depends on it is not known, and the certificate is judged."""
    with without(service.stores, "root_keys"):
        problems = judged(service)
    assert "no such table" in problems.pop("database")
    behind = "not known while the database cannot be used"
    assert problems == {"keys": behind, "wrapping_key": behind, "certificate": None}
    assert judged(service) == READY


def test_a_missing_key_is_named(service):
    """Without a current root key nothing can be minted."""
    execute(service.stores, "UPDATE root_keys SET state = 'next' WHERE state = 'current'")
    assert judged(service) == READY | {
        "keys": "there is no current root key: restart macaroon-cbat serve, which makes one"
    }


def test_another_wrapping_key_is_named(services):
    """A process whose wrapping key is the old one, after key rewrap, is not ready."""
    service = services.start_new()
    operator = services.start_new()
    operator.stores.root_keys.rewrap(WrappingKey(bytes(32)))
    problems = judged(service)
    assert problems.pop("wrapping_key").startswith("root key ")
    assert problems == {"database": None, "keys": None, "certificate": None}
    assert judged(operator) == READY
