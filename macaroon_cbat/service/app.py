"""Put the service together: `create_app()`."""

import time
from collections.abc import Callable
from functools import partial

from flask import Flask, Response, request

from macaroon_cbat.claims import EpochSeconds
from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.inspection import inspected
from macaroon_cbat.journal import bound_refusals
from macaroon_cbat.journal.file import journal_to
from macaroon_cbat.peer import PeerSource
from macaroon_cbat.service import metadata as paths
from macaroon_cbat.service.admin_routes import admin_routes
from macaroon_cbat.service.administration import Administration
from macaroon_cbat.service.answers import answer, answer_errors, refuse_other_spellings
from macaroon_cbat.service.auditing import audit_requests, record_done
from macaroon_cbat.service.authorization_server import AuthorizationServer
from macaroon_cbat.service.client_certificates import ClientTrust
from macaroon_cbat.service.described import DOCUMENT_PATH, HEALTH_PATH
from macaroon_cbat.service.issuing import Issuer
from macaroon_cbat.service.macaroon_tools import (
    InspectRequest,
    RestrictRequest,
    malformed_is_invalid,
    restricted,
)
from macaroon_cbat.service.metrics import start_counting
from macaroon_cbat.service.openapi import openapi_document
from macaroon_cbat.service.own_guard import OwnGuard
from macaroon_cbat.service.presenting import once_a_request
from macaroon_cbat.service.reading import MAX_BODY_BYTES, read_json
from macaroon_cbat.service.resource_feeds import ResourceFeeds
from macaroon_cbat.service.serving import check_who_serves
from macaroon_cbat.service.settings import DEFAULT_ISSUER, Settings, settings_from_environment
from macaroon_cbat.stores import Stores, open_stores
from macaroon_cbat.wire import read_macaroon
from macaroon_cbat.wsgi_hop import WsgiHop


def create_app(
    settings: Settings | None = None,
    *,
    peer: PeerSource | None = None,
    trust: ClientTrust | None = None,
    clock: Callable[[], float] = time.time,
    feed_waiters: int = 4,
) -> Flask:
    """Return the WSGI application; without settings, as the MACAROON_CBAT_ variables say.

    `peer` finds the client certificate of a connection and `trust` has the CAs of clients, in the place of
    what the settings say. At most
    `feed_waiters` requests wait for a revocation at a time: keep it below the number of threads. Whoever
    embeds the application finds its stores under `app.extensions["macaroon_cbat"]`. Raises SettingsError
    for unusable settings, and Unavailable when the database is out of reach.
    """
    settings = settings or settings_from_environment()
    peer = once_a_request(peer or settings.peer)
    trust = trust or ClientTrust(settings.client_ca)
    journal_to(settings.audit_log)
    bound_refusals(settings.audit_refusals)
    stores, url = _opened(settings, EpochSeconds(int(clock())))
    issuer = Issuer(url, stores.root_keys, settings.token_lifetime, settings.key_rotation)
    server = AuthorizationServer(issuer, stores, trust, peer, clock)
    app = Flask("macaroon_cbat.service", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = MAX_BODY_BYTES
    app.extensions["macaroon_cbat"] = stores
    refuse_other_spellings(app)
    answer_errors(app)
    audit_requests(app, peer, clock)
    start_counting()
    _oauth_routes(app, server)
    _macaroon_routes(app, peer)
    own_guard = OwnGuard(issuer, stores, peer, clock, settings.mtls_url or url)
    _resource_routes(app, ResourceFeeds(own_guard, feed_waiters))
    admin_routes(app, own_guard, Administration(stores, url, clock, record_done))
    document = openapi_document(settings.mtls_url or url)
    app.add_url_rule(DOCUMENT_PATH, "document", partial(answer, document, cacheable=True), methods=["GET"])
    _open_routes(
        app,
        stores,
        paths.authorization_server_metadata(
            url, settings.mtls_url or url, trusts_a_ca=settings.client_ca is not None
        ),
    )
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


def _oauth_routes(app: Flask, server: AuthorizationServer) -> None:
    @app.post(paths.TOKEN_PATH)
    def token() -> Response:
        return server.create_token_response()

    @app.post(paths.INTROSPECTION_PATH)
    def introspect() -> Response:
        response: Response = server.create_endpoint_response("introspection")
        return response

    @app.post(paths.REVOCATION_PATH)
    def revoke() -> Response:
        response: Response = server.create_endpoint_response("revocation")
        return response


def _macaroon_routes(app: Flask, peer: PeerSource) -> None:
    @app.post(paths.INSPECT_PATH)
    def inspect() -> Response:
        with malformed_is_invalid():
            return answer(inspected(read_macaroon(read_json(request, InspectRequest).macaroon)))

    @app.post(paths.RESTRICT_PATH)
    def restrict() -> Response:
        thumbprint = peer(WsgiHop(request.environ)).thumbprint
        return answer({"macaroon": restricted(read_json(request, RestrictRequest), thumbprint)})


def _resource_routes(app: Flask, feeds: ResourceFeeds) -> None:
    app.get(paths.KEYS_PATH)(feeds.keys)
    app.get(paths.REVOCATIONS_PATH)(feeds.revocations)


def _open_routes(app: Flask, stores: Stores, metadata: dict[str, object]) -> None:
    @app.get(paths.METADATA_PATH)
    def authorization_server_metadata() -> Response:
        return answer(metadata, cacheable=True)

    @app.get(HEALTH_PATH)
    def healthz() -> Response:
        stores.root_keys.records()
        return answer({"status": "ok"})
