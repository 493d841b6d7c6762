"""The parts that a service has or lacks by its settings: their routes, metadata and operations."""

from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask

from macaroon_cbat.service import family_routes, home, macaroon_tools, resource_feeds
from macaroon_cbat.service.authorization.device_page import DevicePage, device_pages
from macaroon_cbat.service.authorization.people import People
from macaroon_cbat.service.authorization.routes import people_routes
from macaroon_cbat.service.discharges.routes import discharge_routes
from macaroon_cbat.service.discharges.routes import metadata as discharge_metadata
from macaroon_cbat.service.http.operations import Operation
from macaroon_cbat.service.metadata import Contribution
from macaroon_cbat.service.oauth2 import device_authorization
from macaroon_cbat.service.oauth2 import routes as oauth2
from macaroon_cbat.service.oauth2.authorization_server import AuthorizationServer
from macaroon_cbat.service.oauth2.grants.authorization_code import OFFERED_TO_BROWSERS
from macaroon_cbat.service.oauth2.grants.device_code import OFFERED_TO_DEVICES
from macaroon_cbat.service.oauth2.grants.offered import OFFERED, OfferedGrant
from macaroon_cbat.service.oauth2.routes import token_operation
from macaroon_cbat.service.pages.forms import Forms
from macaroon_cbat.service.pages.people import PeopleAtHand

ALWAYS_ON: tuple[Contribution, ...] = (
    *(oauth2.metadata, family_routes.metadata, macaroon_tools.metadata, resource_feeds.metadata),
    home.metadata,
)
"""The contributions to the metadata of parts that no setting takes away."""


def offered_grants(people: PeopleAtHand | None) -> tuple[OfferedGrant, ...]:
    """Return the grants of a service: those of people only where people can sign in.

    Browsers of an authorization request need the service's own login; a device needs any.
    """
    to_browsers = (OFFERED_TO_BROWSERS,) if isinstance(people, People) else ()
    return (*OFFERED, *to_browsers, *(() if people is None else (OFFERED_TO_DEVICES,)))


@dataclass(slots=True)
class Parts:
    """The parts that are on, as the metadata, the OpenAPI document and the start page name them."""

    metadata: list[Contribution] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    device_path: str | None = None
    """The path of the page at which a person enters a user code."""


def parts_of(
    app: Flask,
    server: AuthorizationServer,
    people: PeopleAtHand | None,
    clock: Callable[[], float],
    root_path: str,
    *,
    waiters: int,
) -> Parts:
    """Route the parts that are on, and return them; without people none is that needs a person.

    Where no server parks responses, at most `waiters` requests wait for the decision of a person at a time.
    """
    parts = Parts(
        operations=[token_operation(server.offered)],
        metadata=[discharge_metadata, server.detail_types.metadata],
    )
    parts.operations += discharge_routes(app, server, people, clock, root_path, waiters=waiters)
    members, operations = people_routes(
        app, server, people if isinstance(people, People) else None, clock, root_path
    )
    parts.metadata += members
    parts.operations += operations
    if people is not None:
        _add_devices(parts, app, server, people, clock=clock, root_path=root_path)
    return parts


def _add_devices(
    parts: Parts,
    app: Flask,
    server: AuthorizationServer,
    people: PeopleAtHand,
    *,
    clock: Callable[[], float],
    root_path: str,
) -> None:
    """Route device authorization and its page, at which these people sign in."""
    issuer = server.issuer.url
    device_authorization.device_authorization_route(app, server, clock, root_path)
    forms = Forms(issuer)
    device_pages(app, DevicePage(issuer, server.stores, people, forms, clock), root_path)
    parts.metadata.append(device_authorization.metadata)
    parts.operations.append(device_authorization.DEVICE_AUTHORIZATION)
    parts.device_path = device_authorization.DEVICE_PATH
