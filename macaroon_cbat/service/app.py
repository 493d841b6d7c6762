"""Put the service together: `create_app()`."""

import time
from collections.abc import Callable
from functools import partial

from flask import Flask, Response, request

from macaroon_cbat.audit import bound_refusals
from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.certificate.source import CertificateSource
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.inspection import inspected
from macaroon_cbat.macaroon.issuers import path_of
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.service import metadata as paths
from macaroon_cbat.service.admin.administration import Administration
from macaroon_cbat.service.admin.routes import admin_routes
from macaroon_cbat.service.audit import audit_requests, write_done
from macaroon_cbat.service.described import DOCUMENT_PATH, HEALTH_PATH
from macaroon_cbat.service.error_handlers import answer_errors, refuse_other_spellings
from macaroon_cbat.service.http.request_input import read_json
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.locations import Locations
from macaroon_cbat.service.macaroon_tools import (
    InspectRequest,
    RestrictRequest,
    malformed_is_invalid,
    restricted,
)
from macaroon_cbat.service.metrics import start_counting
from macaroon_cbat.service.oauth2.authorization_server import AuthorizationServer
from macaroon_cbat.service.oauth2.client_certificates import ClientTrust
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.service.oauth2.registered_scopes import RegisteredScopes
from macaroon_cbat.service.openapi import openapi_document
from macaroon_cbat.service.own_guard import OwnGuard
from macaroon_cbat.service.presenting import once_a_request
from macaroon_cbat.service.resource_feeds import ResourceFeeds
from macaroon_cbat.service.served_audiences import check_who_serves
from macaroon_cbat.service.settings import DEFAULT_ISSUER, Settings, settings_from_environment
from macaroon_cbat.stores import Stores, open_stores


def create_app(
    settings: Settings | None = None,
    *,
    certificate_source: CertificateSource | None = None,
    trust: ClientTrust | None = None,
    clock: Callable[[], float] = time.time,
    feed_waiters: int = 4,
) -> Flask:
    """Return the WSGI application; without settings, as the MACAROON_CBAT_ variables say.

    `certificate_source` and `trust`, the CAs of clients, replace those of the settings. At most
    `feed_waiters` requests wait for a revocation at a time: keep it below the number of threads. An
    embedding application finds the stores under `app.extensions["macaroon_cbat"]`. Raises SettingsError
    for unusable settings, and Unavailable when the database is out of reach.
    """
    settings = settings or settings_from_environment()
    certificate_source = once_a_request(certificate_source or settings.certificate_source)
    trust = trust or ClientTrust(settings.client_ca)
    write_log_to(settings.audit_log)
    bound_refusals(settings.audit_refusals)
    stores, url = _opened(settings, EpochSeconds(int(clock())))
    issuer = Issuer(url, stores.root_keys, settings.token_lifetime, settings.key_rotation)
    server = AuthorizationServer(issuer, stores, trust, certificate_source, clock)
    app = Flask("macaroon_cbat.service", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.limits.body_bytes
    app.config["MAX_FORM_MEMORY_SIZE"] = settings.limits.body_bytes
    app.extensions["macaroon_cbat"] = stores
    refuse_other_spellings(app)
    answer_errors(app)
    audit_requests(app, certificate_source, clock)
    start_counting()
    root_path = path_of(url) if settings.root_path is None else settings.root_path
    locations = Locations(url, settings.mtls_url or url, root_path)
    _oauth_routes(app, server, locations)
    _macaroon_routes(app, certificate_source, clock, locations)
    own_guard = OwnGuard(issuer, stores, certificate_source, clock, locations)
    _resource_routes(app, ResourceFeeds(own_guard, feed_waiters), locations)
    admin_routes(app, own_guard, Administration(stores, url, clock, write_done))
    _open_routes(app, stores, locations, trusts_a_ca=settings.client_ca is not None)
    return app


def _opened(settings: Settings, now: EpochSeconds) -> tuple[Stores, str]:
    """Return the stores, and the issuer that they are of from now on."""
    stores = open_stores(settings.database_url, settings.wrapping_key, now)
    try:
        url = settings.issuer or stores.recorded_issuer() or DEFAULT_ISSUER
        check_who_serves(stores.clients.all(), url)
        stores.record_issuer(url)
    except MacaroonError:
        stores.database.close()
        raise
    return stores, url


def _oauth_routes(app: Flask, server: AuthorizationServer, locations: Locations) -> None:
    @app.post(locations.route(paths.TOKEN_PATH))
    def token() -> Response:
        return server.create_token_response()

    @app.post(locations.route(paths.INTROSPECTION_PATH))
    def introspect() -> Response:
        response: Response = server.create_endpoint_response("introspection")
        return response

    @app.post(locations.route(paths.REVOCATION_PATH))
    def revoke() -> Response:
        response: Response = server.create_endpoint_response("revocation")
        return response


def _macaroon_routes(
    app: Flask, certificate_source: CertificateSource, clock: Callable[[], float], locations: Locations
) -> None:
    @app.post(locations.route(paths.INSPECT_PATH))
    def inspect() -> Response:
        with malformed_is_invalid():
            macaroon = read_macaroon(mended(read_json(request, InspectRequest).macaroon))
            return answer(inspected(macaroon, EpochSeconds(int(clock()))))

    @app.post(locations.route(paths.RESTRICT_PATH))
    def restrict() -> Response:
        thumbprint = certificate_source(WsgiConnection(request.environ)).thumbprint
        child = restricted(read_json(request, RestrictRequest), thumbprint, EpochSeconds(int(clock())))
        return answer(child)


def _resource_routes(app: Flask, feeds: ResourceFeeds, locations: Locations) -> None:
    app.get(locations.route(paths.KEYS_PATH))(feeds.keys)
    app.get(locations.route(paths.REVOCATIONS_PATH))(feeds.revocations)


def _open_routes(app: Flask, stores: Stores, locations: Locations, *, trusts_a_ca: bool) -> None:
    issuer, mtls_url = locations.issuer, locations.mtls_url
    scopes = RegisteredScopes(stores.clients)

    def authorization_server_metadata() -> Response:
        metadata = paths.authorization_server_metadata(
            issuer, mtls_url, scopes.current(), trusts_a_ca=trusts_a_ca
        )
        return answer(metadata, cacheable=True)

    for route in locations.metadata_routes:
        app.get(route)(authorization_server_metadata)
    document = openapi_document(mtls_url)
    app.add_url_rule(
        locations.route(DOCUMENT_PATH),
        "document",
        partial(answer, document, cacheable=True),
        methods=["GET"],
    )

    @app.get(locations.route(HEALTH_PATH))
    def healthz() -> Response:
        stores.root_keys.records()
        return answer({"status": "ok"})
