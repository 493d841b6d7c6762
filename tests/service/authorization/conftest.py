from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from macaroon_cbat.audit.file import write_log_to
from tests.support.browsers import Browser, register_clients
from tests.support.service import Service, make_database, settings_in
from tests.support.service_starter import OwnServices, Starter
from tests.support.small_upstream import SmallUpstream, small_upstream


@pytest.fixture(scope="session")
def kept_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallUpstream]:
    """Run one provider for all tests of this process."""
    with small_upstream(tmp_path_factory.mktemp("upstream")) as upstream:
        yield upstream


@pytest.fixture
def upstream(kept_upstream: SmallUpstream) -> SmallUpstream:
    """Return the provider at which people log in, as it was at its start."""
    kept_upstream.begin_again()
    return kept_upstream


@pytest.fixture
def with_people(start: Starter, upstream: SmallUpstream) -> Service:
    """Start a service at which people can log in, with a web client and one on a device."""
    service = start(is_kept=True, people=upstream.settings())
    register_clients(service)
    return service


@pytest.fixture
def browser(with_people: Service, upstream: SmallUpstream) -> Browser:
    """Return a browser without a login."""
    return Browser(with_people, upstream)


@pytest.fixture(params=["sqlite", "postgresql"])
def on_each_database_with_people(
    request: pytest.FixtureRequest, start: Starter, upstream: SmallUpstream, tmp_path: Path
) -> Iterator[tuple[Browser, Service]]:
    """Return a browser, and a service with people on a database of each kind in turn."""
    changes: dict[str, Any] = {"people": upstream.settings()}
    if request.param == "postgresql":
        changes["database_url"] = request.getfixturevalue("shared_postgresql").new_database()
        make_database(changes["database_url"])
    service = (
        Service(tmp_path, settings_in(tmp_path, **changes))
        if len(changes) > 1
        else start(is_kept=True, **changes)
    )
    register_clients(service)
    yield Browser(service, upstream), service
    service.close()


@pytest.fixture
def audited_browser(start: Starter, upstream: SmallUpstream, file: Path) -> Iterator[Browser]:
    """Return a browser of a service whose audit log is a file."""
    service = start(audit_log=str(file), people=upstream.settings())
    register_clients(service)
    yield Browser(service, upstream)
    write_log_to(None)


@pytest.fixture
def new_with_people(services: OwnServices, upstream: SmallUpstream) -> Browser:
    """Return a browser of a service that has not read anything of the provider yet."""
    service = services.start_new(people=upstream.settings())
    register_clients(service)
    return Browser(service, upstream)
