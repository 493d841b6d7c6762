"""The routes under /admin, for bound macaroons of this service with the scope `admin`."""

import logging
from collections.abc import Callable
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
    SHOW_CLIENT,
    SHOW_TRUST,
)
from macaroon_cbat.service.admin.shapes import RevocationRequest
from macaroon_cbat.service.audit import authentic_caller
from macaroon_cbat.service.http.operations import Operation, add_route
from macaroon_cbat.service.http.request_input import read_json, read_query, refuse_body
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.own_guard import OwnGuard
from macaroon_cbat.service.registration.invitations import new_invitation
from macaroon_cbat.service.registration.shapes import InvitationRequest

log = logging.getLogger("macaroon_cbat.service")


def admin_routes(app: Flask, guard: OwnGuard, verbs: Administration) -> None:
    """Route the verbs, each behind the guard."""

    def add_client() -> Any:
        return verbs.add_client(read_json(request, dict[str, object]))

    def change_client(client_id: str) -> Any:
        return verbs.change_client(client_id, read_json(request, dict[str, object]))

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
        ADD_CLIENT: add_client,
        SHOW_CLIENT: verbs.client,
        CHANGE_CLIENT: change_client,
        REMOVE_CLIENT: verbs.remove_client,
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
        return answer(done, operation.status)

    return view
