"""The scopes that the metadata name (RFC 8414 2): read once a minute, and never in the way."""

from macaroon_cbat.service.oauth2.registered_scopes import MEMORY_SECONDS, RegisteredScopes
from tests.support.databases import NOW
from tests.support.service import SECRETS, client_metadata

METADATA = "/.well-known/oauth-authorization-server"


def renamed(service, old: str, new: str) -> None:
    with service.stores.database.writing() as connection:
        connection.exec_driver_sql(f"ALTER TABLE {old} RENAME TO {new}")


def test_they_are_asked_for_once_a_minute(service):
    """The clients are read again after a minute and no sooner, as any caller may ask for the metadata."""
    now = [0.0]
    scopes = RegisteredScopes(service.stores.clients, lambda: now[0])
    assert scopes.current() == {"audit", "read", "write"}
    late = client_metadata(scope="late admin keys revocations")
    service.stores.clients.add("late", late, secret=SECRETS["api"], now=NOW)
    assert scopes.current() == {"audit", "read", "write"}
    now[0] += MEMORY_SECONDS
    assert scopes.current() == {"audit", "late", "read", "write"}


def test_an_outage_leaves_the_metadata(new_service):
    """While the database is out of reach the metadata are answered, with the scopes known before."""
    service = new_service
    now = [0.0]
    scopes = RegisteredScopes(service.stores.clients, lambda: now[0])
    renamed(service, "clients", "gone")
    answer = service.open(METADATA, method="GET")
    assert (answer.status_code, "scopes_supported" in answer.json) == (200, False)
    assert scopes.current() == set()
    renamed(service, "gone", "clients")
    now[0] += MEMORY_SECONDS
    assert "read" in scopes.current()
    renamed(service, "clients", "gone")
    now[0] += MEMORY_SECONDS
    assert "read" in scopes.current()
