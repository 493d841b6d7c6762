"""The operations under /admin: each with its body, its answer and an example."""

from typing import get_args

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.revocation import Revocation, RevocationKind
from macaroon_cbat.service.admin.registration import ClientChange
from macaroon_cbat.service.admin.shapes import (
    ChangedClient,
    ClientRecord,
    ClientRegistration,
    NewClient,
    RevocationList,
    RevocationRequest,
    RotatedSecret,
    SecretRotation,
    TrustedIssuerRecord,
    TrustRegistration,
)
from macaroon_cbat.service.cursors import AFTER
from macaroon_cbat.service.family_lists import AFTER_FAMILY, FamilyList
from macaroon_cbat.service.http.operations import Operation, Parameter
from macaroon_cbat.service.registration.shapes import InvitationRequest, NewInvitation
from macaroon_cbat.stores import RootKeyRecord
from macaroon_cbat.stores.clients import CLIENT_NAME

CLIENTS, KEYS, REVOCATIONS = "/admin/clients", "/admin/keys", "/admin/revocations"
TRUST = "/admin/trusted-issuers"
FAMILIES, INVITATIONS = "/admin/grants", "/admin/invitations"
_CLIENT = {"client_id": CLIENT_NAME}
_REGISTRATION = {"client_id": "billing", "scope": "read write", "audiences": ["https://api.example"]}
_TRUST = {
    "name": "github",
    "issuer": "https://token.actions.githubusercontent.com",
    "audiences": ["https://as.example"],
    "claims": {"sub": "repo:octo-org/octo-repo:ref:refs/heads/main"},
    "client": "deployer",
    "scope": "deploy",
    "resources": ["https://api.example"],
}
_NOON = EpochSeconds(1_767_222_000)
_THUMBPRINT = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"

LIST_CLIENTS = Operation(
    method="GET",
    path=CLIENTS,
    summary="List the registered clients",
    caller="admin",
    answer=list[ClientRecord],
)
ADD_CLIENT = Operation(
    method="POST",
    path=CLIENTS,
    summary="Register a client; only this answer shows its secret",
    caller="admin",
    body=ClientRegistration,
    example=_REGISTRATION,
    answer=NewClient,
    status=201,
    refusals=(409,),
)
SHOW_CLIENT = Operation(
    method="GET",
    path=CLIENTS + "/{client_id}",
    summary="Show a client",
    caller="admin",
    answer=ClientRecord,
    refusals=(404,),
    names=_CLIENT,
    answer_example=_REGISTRATION | {"client_id_issued_at": _NOON},
)
CHANGE_CLIENT = Operation(
    method="PATCH",
    path=CLIENTS + "/{client_id}",
    summary="Change a client's rights; one that loses a right loses its tokens, too",
    caller="admin",
    body=ClientChange,
    names=_CLIENT,
    example={"serves": ["https://api.example"]},
    answer=ChangedClient,
    refusals=(404, 412),
)
ROTATE_SECRET = Operation(
    method="POST",
    path=CLIENTS + "/{client_id}/secret",
    summary="Give a client a new secret, and let the old one be valid for a while",
    caller="admin",
    body=SecretRotation,
    names=_CLIENT,
    example={"keep_old_seconds": 86_400},
    answer=RotatedSecret,
    refusals=(404, 409, 412),
)
REMOVE_CLIENT = Operation(
    method="DELETE",
    path=CLIENTS + "/{client_id}",
    summary="Remove a client and revoke its tokens at once",
    caller="admin",
    names=_CLIENT,
    status=204,
    refusals=(404, 412),
)
INVITE = Operation(
    method="POST",
    path=INVITATIONS,
    summary="Make an initial access macaroon, with which clients register themselves",
    caller="admin",
    body=InvitationRequest,
    example={"scope": "read", "audiences": ["https://api.example"], "hosts": ["127.0.0.1"]},
    answer=NewInvitation,
    status=201,
)
LIST_KEYS = Operation(
    method="GET", path=KEYS, summary="List the root keys", caller="admin", answer=list[RootKeyRecord]
)
ROTATE = Operation(
    method="POST",
    path=KEYS + "/rotate",
    summary="Let the next root key mint, and make a new next one",
    caller="admin",
    answer=RootKeyRecord,
    answer_example=RootKeyRecord("5f0c1d2e3a4b", _NOON, "current", _NOON),
)
RETIRE = Operation(
    method="POST",
    path=KEYS + "/{kid}/retire",
    summary="Retire a retiring root key and all its tokens at once",
    caller="admin",
    names={"kid": "^[A-Za-z0-9]{1,64}$"},
    status=204,
    refusals=(404, 409),
)
LIST_REVOCATIONS = Operation(
    method="GET",
    path=REVOCATIONS,
    summary="List the live revocations, page by page",
    caller="admin",
    query={
        "kind": Parameter("only this kind", {"type": "string", "enum": list(get_args(RevocationKind))}),
        "after": AFTER,
    },
    answer=RevocationList,
    answer_example=RevocationList(
        [Revocation(kind="certificate", value=_THUMBPRINT, revoked_at=_NOON, expires_at=_NOON + 86_700)]
    ),
)
REVOKE = Operation(
    method="POST",
    path=REVOCATIONS,
    summary="Revoke a token, the tokens of a client, subject, family, key or all, or a certificate",
    caller="admin",
    body=RevocationRequest,
    example={"kind": "certificate", "value": _THUMBPRINT},
    answer=Revocation,
    status=201,
    refusals=(404, 409),
)
LIST_FAMILIES = Operation(
    method="GET",
    path=FAMILIES,
    summary="List the live refresh families, page by page",
    caller="admin",
    query={
        "client_id": Parameter("only those of this client", {"type": "string", "pattern": CLIENT_NAME}),
        "subject": Parameter("only those of this subject", {"type": "string", "pattern": "^.+$"}),
        "after": AFTER_FAMILY,
    },
    answer=FamilyList,
)
LIST_TRUST = Operation(
    method="GET",
    path=TRUST,
    summary="List the trusted issuers of JWTs",
    caller="admin",
    answer=list[TrustedIssuerRecord],
)
ADD_TRUST = Operation(
    method="POST",
    path=TRUST,
    summary="Trust an issuer of JWTs, for a client or for subjects",
    caller="admin",
    body=TrustRegistration,
    example=_TRUST,
    answer=TrustedIssuerRecord,
    status=201,
    refusals=(404, 409),
)
SHOW_TRUST = Operation(
    method="GET",
    path=TRUST + "/{name}",
    summary="Show a trusted issuer",
    caller="admin",
    answer=TrustedIssuerRecord,
    refusals=(404,),
    names={"name": CLIENT_NAME},
    answer_example=_TRUST | {"created_at": _NOON},
)
REMOVE_TRUST = Operation(
    method="DELETE",
    path=TRUST + "/{name}",
    summary="Trust an issuer no more; tokens that were minted through it live on",
    caller="admin",
    names={"name": CLIENT_NAME},
    status=204,
    refusals=(404,),
)
OPERATIONS = (
    *(LIST_TRUST, ADD_TRUST, SHOW_TRUST, REMOVE_TRUST),
    *(LIST_CLIENTS, ADD_CLIENT, SHOW_CLIENT, CHANGE_CLIENT, ROTATE_SECRET, REMOVE_CLIENT, INVITE),
    *(LIST_KEYS, ROTATE, RETIRE),
    *(LIST_REVOCATIONS, REVOKE),
    LIST_FAMILIES,
)
