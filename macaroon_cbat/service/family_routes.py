"""The routes under /oauth2/grants: a client or a subject sees, names and ends its refresh families.

A client proves itself as at the token endpoint and sees its own families. A public client, which any
certificate would authenticate, sees those that are bound to its certificate. A bound macaroon of this service
with the scope `grants` shows the families of its subject, at every client: a user's list of logins.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Flask, Response, request

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import InvalidClient, InvalidRequest, NotFound
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.audit import write_done
from macaroon_cbat.service.family_lists import (
    AFTER_FAMILY,
    BEGINNING,
    FAMILY_NAME,
    FAMILY_PAGE,
    FamilyLabel,
    FamilyList,
    FamilyRecord,
    checked_label,
    family_list,
    place_after,
)
from macaroon_cbat.service.http.operations import Operation, Parameter, add_route
from macaroon_cbat.service.http.request_input import Form, read_json, read_query, refuse_body
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.oauth2.authorization_server import AuthorizationServer
from macaroon_cbat.service.oauth2.client_authentication import is_public
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.service.own_guard import OwnGuard
from macaroon_cbat.stores.clients import CLIENT_NAME
from macaroon_cbat.stores.family import Family

GRANTS = "/oauth2/grants"
_CLIENT_ID = {
    "client_id": Parameter(
        "the name of a client that authenticates by its certificate",
        {"type": "string", "pattern": CLIENT_NAME},
    )
}
_FAMILY = "4tkZYABoUx99cIxPvuxRYw"
_EXAMPLE = FamilyRecord(
    family=_FAMILY,
    client_id="web",
    client_name="The web shop",
    subject="user:alice",
    scope="read write",
    audience="https://api.example",
    certificate=None,
    label="my laptop",
    created_at=1_767_222_000,
    used_at=1_767_225_600,
    expires_at=1_768_435_200,
)


def metadata(base: str) -> Mapping[str, object]:
    """Return the member of the metadata document about the lists of refresh families."""
    return {"macaroon_grants_endpoint": base + GRANTS}


LIST_GRANTS = Operation(
    method="GET",
    path=GRANTS,
    label="grants",
    summary="List the live refresh families of the calling client, or of a macaroon's subject",
    caller="grants",
    query={"after": AFTER_FAMILY} | _CLIENT_ID,
    answer=FamilyList,
    answer_example=FamilyList([_EXAMPLE]),
)
NAME_GRANT = Operation(
    method="PATCH",
    path=GRANTS + "/{family}",
    label="name_grant",
    summary="Give a refresh family a name for lists",
    caller="grants",
    names={"family": FAMILY_NAME},
    query=_CLIENT_ID,
    body=FamilyLabel,
    example={"label": "my laptop"},
    answer=FamilyRecord,
    answer_example=_EXAMPLE,
    refusals=(404,),
)
END_GRANT = Operation(
    method="DELETE",
    path=GRANTS + "/{family}",
    label="end_grant",
    summary="Revoke a refresh family and its access tokens",
    caller="grants",
    names={"family": FAMILY_NAME},
    query=_CLIENT_ID,
    status=204,
    refusals=(404,),
)
OPERATIONS = (LIST_GRANTS, NAME_GRANT, END_GRANT)


@dataclass(frozen=True, slots=True)
class _Owner:
    """The owner of families: a client, or a subject; a public client's are those of one certificate."""

    client_id: str | None = None
    subject: str | None = None
    certificate: Thumbprint | None = None

    def owns(self, family: Family) -> bool:
        """Return True if a family belongs to this owner."""
        return (
            self.client_id in (None, family.client_id)
            and self.subject in (None, family.subject)
            and self.certificate in (None, family.granted.certificate)
        )


@dataclass(frozen=True, slots=True)
class FamilyViews:
    """The views of families, each for the owner that its request proves."""

    server: AuthorizationServer
    guard: OwnGuard
    clock: Callable[[], float]

    def listed(self) -> Response:
        """Answer with a page of the owner's live families."""
        query = read_query(request, *LIST_GRANTS.query)
        owner = self._owner(query)
        refuse_body(request)
        found, last = self.server.stores.families.live(
            self._now(),
            client_id=owner.client_id,
            subject=owner.subject,
            certificate=owner.certificate,
            after=place_after(query.get("after", BEGINNING)),
            limit=FAMILY_PAGE,
        )
        return answer(family_list(found, last, self.server.stores.clients))

    def named(self, family: str) -> Response:
        """Give a family of the owner a label, and answer with it."""
        owner = self._owner(read_query(request, *NAME_GRANT.query))
        label = checked_label(read_json(request, FamilyLabel).label)
        self._owned(owner, family)
        changed = self.server.stores.families.label(family, label, self._now())
        if changed is None:
            raise NotFound("the refresh family has ended meanwhile: see the list")
        return answer(family_list([changed], None, self.server.stores.clients).grants[0])

    def ended(self, family: str) -> Response:
        """End a family of the owner."""
        owner = self._owner(read_query(request, *END_GRANT.query))
        refuse_body(request)
        found = self._owned(owner, family)
        if self.server.families.end(family, self._now()) is not None:
            about = {"family": family, "client_id": found.client_id, "subject": found.subject}
            write_done("family.revoked", status=END_GRANT.status, **about)
        return answer(None, END_GRANT.status)

    def _owner(self, query: dict[str, str]) -> _Owner:
        """Return the owner for whom the request is made, or raise InvalidClient or InvalidToken."""
        scheme = request.headers.get("Authorization", "").partition(" ")[0].lower()
        if scheme not in ("", "basic") and "client_id" in query:
            raise InvalidRequest("client_id names a client that presents its certificate: leave it out here")
        if scheme != "basic" and "client_id" not in query:
            client, principal = self.guard.admitted(request, "grants")
            own = principal.subject == client.client_id
            return _Owner(client_id=client.client_id) if own else _Owner(subject=principal.subject)
        form = {name: value for name, value in query.items() if name == "client_id"}
        uri = self.server.issuer.url + GRANTS
        asked = FormRequest(request, Form(once=form, several={}), uri, self._now())
        client = self.server.authenticate_client(asked, (), "grants").record
        if not is_public(client):
            return _Owner(client.client_id)
        if asked.presented.thumbprint is None:
            raise InvalidClient(f"{client.client_id} is a public client and presents no certificate")
        return _Owner(client.client_id, certificate=asked.presented.thumbprint)

    def _owned(self, owner: _Owner, family: str) -> Family:
        """Return a live family of the owner. Raises NotFound for another one, as for one that is unknown."""
        found = self.server.stores.families.find(family, self._now())
        if found is None or not owner.owns(found[0]):
            raise NotFound("no live refresh family of yours has this name: see the list")
        return found[0]

    def _now(self) -> EpochSeconds:
        return EpochSeconds(int(self.clock()))


def family_routes(app: Flask, views: FamilyViews, root_path: str) -> None:
    """Route the list of families and the changes of one."""
    for operation, view in ((LIST_GRANTS, views.listed), (NAME_GRANT, views.named), (END_GRANT, views.ended)):
        add_route(app, operation, view, root_path)
