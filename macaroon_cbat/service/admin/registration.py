"""The rules of registration that need facts of the service, and the shape of a change."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from macaroon_cbat.errors import InvalidClientMetadata
from macaroon_cbat.macaroon.audiences import is_among
from macaroon_cbat.service.oauth2.entitlements import RESERVED_SCOPES
from macaroon_cbat.service.served_audiences import FEED_SCOPES
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.clients import metadata_from, used_metadata

ClientChange: Any = msgspec.defstruct(
    "ClientChange",
    [
        (member.name, member.type | None | UnsetType, UNSET)
        for member in msgspec.structs.fields(ClientMetadata)
    ],
    namespace={
        "__doc__": "The members of a client's metadata to change, each whole; null is its default (RFC 7396)."
    },
    forbid_unknown_fields=True,
)


def refuse_registration(metadata: ClientMetadata, issuer: str) -> None:
    """Raise InvalidClientMetadata for rights that no one client should have."""
    _refuse_the_service_itself(metadata, issuer)
    _refuse_mixed_scopes(metadata)


def changed_metadata(before: ClientMetadata, members: dict[str, object], issuer: str) -> ClientMetadata:
    """Return the metadata with these members replaced, or raise InvalidClientMetadata.

    Mixed scopes of older registrations stay until the scope is changed.
    """
    merged = msgspec.structs.asdict(before) | used_metadata(members)
    defaults = {name for name in ClientMetadata.__struct_fields__ if merged[name] is None}
    known = (*before.audiences, *before.serves)
    after = metadata_from({name: value for name, value in merged.items() if name not in defaults}, known)
    _refuse_the_service_itself(after, issuer)
    if after.scopes != before.scopes:
        _refuse_mixed_scopes(after)
    return after


def _refuse_the_service_itself(metadata: ClientMetadata, issuer: str) -> None:
    if is_among(issuer, metadata.serves):
        raise InvalidClientMetadata(
            "serves names the service itself: leave it out, or its keys could mint an administrator's token"
        )


def _refuse_mixed_scopes(metadata: ClientMetadata) -> None:
    """Raise InvalidClientMetadata for scopes of different roles.

    The credentials of a resource server lie beside its application, and those of an administrator must not.
    Neither should also open the resource servers that their owner calls.
    """
    scopes = metadata.scopes
    roles = (scopes & FEED_SCOPES, scopes & {"admin"}, scopes - set(RESERVED_SCOPES))
    present = [" ".join(sorted(role)) for role in roles if role]
    if len(present) > 1:
        raise InvalidClientMetadata(
            f"the scope mixes the roles of different clients: register one for each of {'; '.join(present)}"
        )
