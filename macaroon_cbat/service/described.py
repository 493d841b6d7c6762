"""The shapes and operations of the routes that are not under /admin, for the API document."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from macaroon_cbat.macaroon.caveats import ThumbprintText
from macaroon_cbat.macaroon.claims import ScopeText
from macaroon_cbat.macaroon.revocation import RevocationRow
from macaroon_cbat.service import metadata as paths
from macaroon_cbat.service.admin.revocable import TOKEN_ID_PATTERN
from macaroon_cbat.service.admin.shapes import ClientName
from macaroon_cbat.service.cursors import BEGINNING, CURSOR_PATTERN
from macaroon_cbat.service.http.operations import Operation, Parameter
from macaroon_cbat.service.http.request_input import FORM
from macaroon_cbat.service.macaroon_tools import InspectRequest, RestrictedMacaroon, RestrictRequest
from macaroon_cbat.service.resource_feeds import LONGEST_WAIT

HEALTH_PATH, DOCUMENT_PATH = "/healthz", "/openapi.json"
_SHORTENED = "AgETaHR0cHM6Ly9hcy5leGFtcGxl"

JwtId = Annotated[str, Meta(pattern=TOKEN_ID_PATTERN)]
CursorText = Annotated[str, Meta(pattern=CURSOR_PATTERN)]
AFTER = Parameter(
    "the cursor of an earlier answer; 0 begins",
    {"type": "string", "pattern": CURSOR_PATTERN, "default": BEGINNING},
)


class TokenForm(Struct):
    """A token request (RFC 6749 4.4, RFC 8707); a client without a secret names itself by `client_id`."""

    grant_type: Literal["client_credentials"]
    scope: ScopeText | None = None
    resource: str | None = None
    client_id: ClientName | None = None
    client_secret: str | None = None


class TokenAnswer(Struct):
    """A new macaroon (RFC 6749 5.1); `expires_in` counts seconds."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: ScopeText


class TokenQuestion(Struct):
    """A token to introspect (RFC 7662 2.1).

    `client_certificate` is the thumbprint of the connection that it came over. A resource server that is not
    registered with `checks_certificates` must send it to learn that a certificate-bound token is active.
    """

    token: str
    token_type_hint: str | None = None
    client_certificate: ThumbprintText | None = None


class TokenInQuestion(Struct):
    """What the asking resource server may know of a token (RFC 7662 2.2, RFC 8705 3.2)."""

    active: bool
    iss: str | None = None
    client_id: str | None = None
    sub: str | None = None
    aud: str | list[str] | None = None
    scope: str | None = None
    exp: int | None = None
    iat: int | None = None
    jti: JwtId | None = None
    token_type: Literal["Bearer"] | None = None
    cnf: dict[Literal["x5t#S256"], ThumbprintText] | None = None
    caveats: list[Raw] | None = None


class TokenToRevoke(Struct):
    """A token to take back (RFC 7009 2.1); a hint of any kind is ignored."""

    token: str
    token_type_hint: str | None = None


class EffectiveRights(Struct):
    """What a token is restricted to, in the members of caveats; what is not restricted is left out."""

    scope: ScopeText | UnsetType = UNSET
    aud: list[str] | UnsetType = UNSET
    exp: int | UnsetType = UNSET
    nbf: int | UnsetType = UNSET
    htm: list[str] | UnsetType = UNSET
    htu: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    ip: list[str] | UnsetType = UNSET
    cnf: dict[Literal["x5t#S256"], str] | UnsetType = UNSET


class Inspected(Struct):
    """What a macaroon says, unverified; caveats in PingAM's shape, and why one is `refused` by verifiers.

    `effective` is what all caveats leave, null where no request could use the token; `warnings` say why, and
    what restricts nothing.
    """

    identifier: str
    location: str
    caveats: list[dict[str, Any]]
    signature: str
    effective: EffectiveRights | None
    warnings: list[str]


class AudienceKeyFiles(Struct):
    """The key file of each audience that the caller serves; ask again in `expires_in` seconds."""

    audiences: list[dict[str, Any]]
    expires_in: int


class RevocationStretch(Struct):
    """What was revoked after a cursor: kind, value, revoked_at, expires_at; go on after `cursor`."""

    cursor: CursorText
    is_last: bool
    decisions: list[RevocationRow]


class Health(Struct):
    """The database answers."""

    status: Literal["ok"]


OPERATIONS = (
    Operation(
        method="POST",
        path=paths.TOKEN_PATH,
        summary="Get a macaroon by client credentials",
        caller="client",
        body=TokenForm,
        body_type=FORM,
        example={"grant_type": "client_credentials", "scope": "read", "resource": "https://api.example"},
        answer=TokenAnswer,
    ),
    Operation(
        method="POST",
        path=paths.INTROSPECTION_PATH,
        summary="Learn what a token is good for, as a resource server of its audience or its own client",
        caller="client",
        body=TokenQuestion,
        body_type=FORM,
        example={"token": _SHORTENED},
        answer=TokenInQuestion,
        answer_example={"active": False},
    ),
    Operation(
        method="POST",
        path=paths.REVOCATION_PATH,
        summary="Take back a token and all its children, as the client it was issued to",
        caller="client",
        body=TokenToRevoke,
        body_type=FORM,
        example={"token": _SHORTENED},
        answer=dict[str, str],
        answer_example={},
    ),
    Operation(
        method="POST",
        path=paths.INSPECT_PATH,
        summary="Read a macaroon; nothing of it is verified",
        caller="anybody",
        body=InspectRequest,
        example={"macaroon": _SHORTENED},
        answer=Inspected,
        refusals=(400, 413, 415),
    ),
    Operation(
        method="POST",
        path=paths.RESTRICT_PATH,
        summary="Append a caveat, the thumbprint of this connection's certificate, or both",
        caller="anybody",
        body=RestrictRequest,
        example={"macaroon": _SHORTENED, "caveat": {"scope": "read"}, "bind": "connection"},
        answer=RestrictedMacaroon,
        answer_example={"macaroon": _SHORTENED, "warnings": []},
        refusals=(400, 413, 415),
    ),
    Operation(
        method="GET",
        path=paths.KEYS_PATH,
        summary="Get the keys of the audiences that the caller serves, which verify offline",
        caller="keys",
        query={
            "audience": Parameter("only this one of the audiences that the caller serves", {"type": "string"})
        },
        answer=AudienceKeyFiles,
    ),
    Operation(
        method="GET",
        path=paths.REVOCATIONS_PATH,
        summary="Follow the revocations that concern the audiences that the caller serves",
        caller="revocations",
        query={
            "after": AFTER,
            "wait": Parameter(
                "seconds to wait for a revocation when there is none",
                {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT, "default": 0},
            ),
        },
        answer=RevocationStretch,
        answer_example={"cursor": "AAAAAAAAAAAAAAAA.0", "is_last": True, "decisions": []},
    ),
    Operation(
        method="GET",
        path=paths.METADATA_PATH,
        summary="Find the endpoints (RFC 8414)",
        caller="anybody",
        answer=dict[str, Any],
    ),
    Operation(
        method="GET",
        path=HEALTH_PATH,
        summary="Learn whether the database answers",
        caller="anybody",
        answer=Health,
        answer_example={"status": "ok"},
    ),
    Operation(
        method="GET",
        path=DOCUMENT_PATH,
        summary="Get this document",
        caller="anybody",
        answer=dict[str, Any],
    ),
)
