"""The WSGI application of the service: its rooms and routes, put together by `create_app`."""

import time
from collections.abc import Callable

from flask import Flask

from macaroon_cbat.audit import bound_refusals
from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.certificate.source import CertificateSource
from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.issuers import issuer_path
from macaroon_cbat.service.adjusting import bound_bodies, make_adjustable
from macaroon_cbat.service.admin.administration import Administration
from macaroon_cbat.service.admin.routes import admin_routes
from macaroon_cbat.service.audit import audit_requests, write_done
from macaroon_cbat.service.authorization.routes import people_of
from macaroon_cbat.service.detail_types import DetailTypes
from macaroon_cbat.service.error_handlers import answer_errors, refuse_other_spellings
from macaroon_cbat.service.family_routes import FamilyViews, family_routes
from macaroon_cbat.service.federation.federation import federation_of
from macaroon_cbat.service.home import home_routes
from macaroon_cbat.service.http.application import Application
from macaroon_cbat.service.http.client_certificate import find_certificates_by
from macaroon_cbat.service.locations import Locations
from macaroon_cbat.service.macaroon_tools import macaroon_routes
from macaroon_cbat.service.metadata import metadata_routes
from macaroon_cbat.service.metrics import start_counting
from macaroon_cbat.service.oauth2.authorization_server import AuthorizationServer
from macaroon_cbat.service.oauth2.client_certificates import ClientTrust, client_trust
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.service.oauth2.registered_scopes import RegisteredScopes
from macaroon_cbat.service.oauth2.routes import OPERATIONS, assertion_audiences, oauth_routes
from macaroon_cbat.service.oauth2.server_metadata import server_metadata
from macaroon_cbat.service.oauth2.token_proofs import TokenProofs
from macaroon_cbat.service.observation import Observed
from macaroon_cbat.service.openapi import document_route
from macaroon_cbat.service.own_guard import OwnGuard
from macaroon_cbat.service.pages.people import PeopleAtHand
from macaroon_cbat.service.pages.rendering import use_pages
from macaroon_cbat.service.parts import ALWAYS_ON, offered_grants, parts_of
from macaroon_cbat.service.registration.open_registration import open_bounds
from macaroon_cbat.service.registration.routes import registration_routes
from macaroon_cbat.service.resource_feeds import ResourceFeeds, resource_routes
from macaroon_cbat.service.served_audiences import check_who_serves
from macaroon_cbat.service.settings import DEFAULT_ISSUER, Settings, settings_from_environment
from macaroon_cbat.service.throttle.attempts import limit_attempts, throttle_of
from macaroon_cbat.service.tracing import TRACING, Tracing
from macaroon_cbat.service.waiting_threads import WaitingThreads
from macaroon_cbat.stores import Stores, open_stores


def create_app(
    settings: Settings | None = None,
    *,
    certificate_source: CertificateSource | None = None,
    trust: ClientTrust | None = None,
    people: PeopleAtHand | None = None,
    clock: Callable[[], float] = time.time,
    feed_waiters: int = 4,
) -> Flask:
    """Return the WSGI application; without settings, as the MACAROON_CBAT_ variables say.

    `certificate_source` and `trust`, the CAs of clients, replace those of the settings. `people` lets people
    sign in, in place of the upstream provider; where nothing does, what needs a person is off. Where no
    server parks responses, at most `feed_waiters` requests wait for a revocation at a time, and half as many
    for a person. A quarter more than `feed_waiters` wait for other servers, anywhere. Keep all of them below
    the number of threads. An embedding application finds the stores
    under `app.extensions["macaroon_cbat"]`. Raises SettingsError for unusable settings, and Unavailable when
    the database is out of reach.
    """
    settings = settings or settings_from_environment()
    write_log_to(settings.audit_log)
    bound_refusals(settings.audit_refusals)
    stores, url = _opened(settings, EpochSeconds(int(clock())))
    app = _without_routes(settings, stores, clock)
    source = certificate_source or settings.certificate_source
    find_certificates_by(app, source)
    root_path = issuer_path(url) if settings.root_path is None else settings.root_path
    locations = Locations(url, settings.mtls_url or url, root_path)
    use_pages(app, locations)
    trust = trust or client_trust(settings)
    threads = WaitingThreads(feed_waiters + feed_waiters // 4)
    people = people or people_of(settings.people, stores, url, clock, threads)
    server, guard = _rooms(settings, stores, locations, clock, trust=trust, people=people, threads=threads)
    limit_attempts(app, server.throttle)
    make_adjustable(app, server, settings)
    oauth_routes(app, server, clock, root_path)
    app.find_at_once(*(one.endpoint for one in OPERATIONS))
    family_routes(app, FamilyViews(server, guard, clock), root_path)
    parts = parts_of(app, server, people, clock, root_path, waiters=feed_waiters // 2)
    macaroon_routes(app, clock, root_path)
    resource_routes(app, ResourceFeeds(guard, feed_waiters), root_path)
    admin_routes(app, guard, Administration(stores, url, clock, write_done))
    parts.metadata.append(registration_routes(app, guard, open_bounds(settings.registration), root_path))
    about = server_metadata(server, RegisteredScopes(stores.clients), trusts_a_ca=bool(trust.followed))
    metadata_routes(app, locations, [*ALWAYS_ON, about, *parts.metadata])
    home_routes(app, locations, parts.device_path)
    document_route(app, locations.mtls_url, root_path, parts.operations)
    _observe(app, source, settings, root_path)
    return app


def _observe(app: Flask, source: CertificateSource, settings: Settings, root_path: str) -> None:
    """Give each request an id, and those about tokens spans if these are wanted. Raises MissingExtra."""
    is_traced = bool(settings.operation.traces)
    tracing = Tracing({root_path + one.rule: one.rule for one in OPERATIONS}) if is_traced else None
    app.extensions[TRACING] = tracing
    app.wsgi_app = Observed(app.wsgi_app, source, tracing)  # type: ignore[method-assign] # as Flask documents


def _rooms(
    settings: Settings,
    stores: Stores,
    locations: Locations,
    clock: Callable[[], float],
    *,
    trust: ClientTrust,
    people: PeopleAtHand | None,
    threads: WaitingThreads,
) -> tuple[AuthorizationServer, OwnGuard]:
    """Return the server of the OAuth endpoints, and the guard of the service's own."""
    issuer = Issuer(locations.issuer, stores.root_keys, settings.token_lifetime, settings.key_rotation)
    needs_nonce = bool(settings.dpop_nonces)
    proofs = TokenProofs(
        issuer,
        locations.mtls_url,
        stores.expiring,
        needs_nonce=needs_nonce,
        restored_at=stores.restored_at(),
    )
    server = AuthorizationServer(
        issuer,
        stores,
        trust,
        offered_grants(people),
        settings.refresh,
        federation=federation_of(stores, assertion_audiences(locations), threads),
        proofs=proofs,
        detail_types=DetailTypes(settings.authorization_details),
    )
    server.throttle = throttle_of(settings.throttle)
    return server, OwnGuard(issuer, stores, clock, locations, proofs)


def _without_routes(settings: Settings, stores: Stores, clock: Callable[[], float]) -> Application:
    """Return an application of these stores that has no route yet, and answers every error."""
    app = Application("macaroon_cbat.service")
    app.extensions["macaroon_cbat"] = stores
    bound_bodies(app, settings)
    refuse_other_spellings(app)
    answer_errors(app)
    start_counting()
    audit_requests(app, clock)
    return app


def _opened(settings: Settings, now: EpochSeconds) -> tuple[Stores, str]:
    """Return the stores, and the issuer that they are of from now on."""
    upgrades = bool(settings.database_upgrade)
    stores = open_stores(settings.database_url, settings.wrapping_key, now, upgrades=upgrades)
    try:
        url = settings.issuer or stores.recorded_issuer() or DEFAULT_ISSUER
        check_who_serves(stores.clients.all(), url)
        stores.record_issuer(url)
    except MacaroonError:
        stores.database.close()
        raise
    return stores, url
