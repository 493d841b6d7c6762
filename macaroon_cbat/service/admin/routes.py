"""The routes under /admin, for bound macaroons of this service with the scope `admin`."""

import logging
from collections.abc import Callable, Collection
from functools import partial, wraps
from typing import Any

from flask import Flask, Response, request

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.admin.administration import Administration
from macaroon_cbat.service.admin.operations import (
    ADD_CLIENT,
    ADD_TRUST,
    CHANGE_CLIENT,
    INVITE,
    LIST_CLIENTS,
    LIST_FAMILIES,
    LIST_KEYS,
    LIST_REVOCATIONS,
    LIST_TRUST,
    REMOVE_CLIENT,
    REMOVE_TRUST,
    RETIRE,
    REVOKE,
    ROTATE,
    ROTATE_SECRET,
    SHOW_CLIENT,
    SHOW_TRUST,
)
from macaroon_cbat.service.admin.shapes import ClientRecord, RevocationRequest, SecretRotation
from macaroon_cbat.service.admin.versions import ANY, version_of
from macaroon_cbat.service.audit import authentic_caller
from macaroon_cbat.service.http.operations import Operation, add_route
from macaroon_cbat.service.http.request_input import MERGE_PATCH, read_json, read_query, refuse_body
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.own_guard import OwnGuard
from macaroon_cbat.service.registration.invitations import new_invitation
from macaroon_cbat.service.registration.shapes import InvitationRequest

log = logging.getLogger("macaroon_cbat.service")


def admin_routes(app: Flask, guard: OwnGuard, verbs: Administration) -> None:
    """Route the verbs, each behind the guard."""

    def add_trust() -> Any:
        return verbs.trust.add(read_json(request, dict[str, object]))

    def revoke() -> Any:
        return verbs.revoke(read_json(request, RevocationRequest))

    verb_of: dict[Operation, Callable[..., Any]] = {
        LIST_TRUST: verbs.trust.all,
        ADD_TRUST: add_trust,
        SHOW_TRUST: verbs.trust.one,
        REMOVE_TRUST: verbs.trust.remove,
        LIST_CLIENTS: verbs.clients,
        SHOW_CLIENT: verbs.client,
        **_client_changes(verbs),
        INVITE: partial(_invite, verbs),
        LIST_KEYS: verbs.keys,
        ROTATE: verbs.rotate,
        RETIRE: verbs.retire,
        LIST_REVOCATIONS: verbs.revocations,
        REVOKE: revoke,
        LIST_FAMILIES: verbs.families,
    }
    for operation, verb in verb_of.items():
        add_route(app, operation, _guarded(guard, operation, verb), guard.locations.root_path)


def _client_changes(verbs: Administration) -> dict[Operation, Callable[..., Any]]:
    """Return the verbs that change clients, which read the body and If-Match of the request at hand."""

    def add_client() -> Any:
        return verbs.add_client(read_json(request, dict[str, object]))

    def change_client(client_id: str) -> Any:
        members = read_json(request, dict[str, object], MERGE_PATCH)
        return verbs.change_client(client_id, members, _versions())

    def rotate_secret(client_id: str) -> Any:
        return verbs.secrets.rotate(client_id, read_json(request, SecretRotation), _versions())

    def remove_client(client_id: str) -> None:
        verbs.remove_client(client_id, _versions())

    return {
        ADD_CLIENT: add_client,
        CHANGE_CLIENT: change_client,
        ROTATE_SECRET: rotate_secret,
        REMOVE_CLIENT: remove_client,
    }


def _invite(verbs: Administration) -> Any:
    wanted, now = read_json(request, InvitationRequest), EpochSeconds(int(verbs.clock()))
    return new_invitation(verbs.stores, verbs.issuer, wanted, authentic_caller(), now, verbs.audit)


def _guarded(guard: OwnGuard, operation: Operation, verb: Callable[..., Any]) -> Callable[..., Response]:
    """Return the view of a verb; a caller that is not admitted learns nothing about errors in its request."""

    @wraps(verb)
    def view(**names: str) -> Response:
        admin = guard.admit(request, operation.caller)
        query = read_query(request, *operation.query)
        if operation.body is None:
            refuse_body(request)
        done = verb(**names, **query)
        if operation.method != "GET":
            log.info("%s did %s %r", admin.client_id, operation.method, request.path)
        response = answer(done, operation.status)
        if isinstance(done, ClientRecord):
            response.set_etag(version_of(done))
        return response

    return view


def _versions() -> Collection[str]:
    """Return the versions that If-Match names; a weak one is none, and one of them must match."""
    if "If-Match" not in request.headers or request.if_match.star_tag:
        return ANY
    return request.if_match.as_set() or ("",)
