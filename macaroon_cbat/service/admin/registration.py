"""The shape of a change of a client, and the metadata after it."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from macaroon_cbat.service.registration.rules import refuse_mixed_scopes, refuse_the_service_itself
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.clients import metadata_from, used_metadata

ClientChange: Any = msgspec.defstruct(
    "ClientChange",
    [
        (member.name, member.type | None | UnsetType, UNSET)
        for member in msgspec.structs.fields(ClientMetadata)
    ],
    namespace={
        "__doc__": "The members of a client's metadata to change, merged by RFC 7396: null is the default."
    },
    forbid_unknown_fields=True,
)


def changed_metadata(before: ClientMetadata, members: dict[str, object], issuer: str) -> ClientMetadata:
    """Return the metadata with these members merged into them (RFC 7396), or raise InvalidClientMetadata.

    Mixed scopes of older registrations stay until the scope is changed.
    """
    merged = msgspec.structs.asdict(before)
    merged |= {name: _merged(merged.get(name), value) for name, value in used_metadata(members).items()}
    defaults = {name for name in ClientMetadata.__struct_fields__ if merged[name] is None}
    known = (*before.audiences, *before.serves)
    after = metadata_from({name: value for name, value in merged.items() if name not in defaults}, known)
    refuse_the_service_itself(after, issuer)
    if after.scopes != before.scopes:
        refuse_mixed_scopes(after)
    return after


def _merged(before: object, patch: object) -> object:
    """Return a value as RFC 7396 2 patches it: objects merge, anything else is replaced whole."""
    if not isinstance(patch, dict):
        return patch
    found: dict[str, object] = dict(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        found[name] = _merged(found.get(name), value)
        if value is None:
            del found[name]
    return found
