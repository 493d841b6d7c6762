"""The rules of every registration that need facts of the service, and rights as an audit event names them."""

from typing import Any, Protocol

from macaroon_cbat.audit.event import EventKind
from macaroon_cbat.errors import InvalidClientMetadata
from macaroon_cbat.macaroon.audiences import is_among
from macaroon_cbat.service.reserved_scopes import RESERVED_SCOPES
from macaroon_cbat.service.served_audiences import FEED_SCOPES
from macaroon_cbat.stores import ClientMetadata

SECRET_BYTES, NAME_BYTES = 32, 12
"""Random bytes of a secret, and of the name of a client that named none."""


class Audit(Protocol):
    """Writes an audit event, or raises Unavailable."""

    def __call__(self, kind: EventKind, /, **members: Any) -> None:
        """Write what was done."""


def refuse_registration(metadata: ClientMetadata, issuer: str) -> None:
    """Raise InvalidClientMetadata for rights that no one client should have."""
    refuse_the_service_itself(metadata, issuer)
    refuse_mixed_scopes(metadata)


def refuse_the_service_itself(metadata: ClientMetadata, issuer: str) -> None:
    """Raise InvalidClientMetadata for a client that would verify tokens in the place of the service."""
    if is_among(issuer, metadata.serves):
        raise InvalidClientMetadata(
            "serves names the service itself: leave it out, or its keys could mint an administrator's token"
        )


def refuse_mixed_scopes(metadata: ClientMetadata) -> None:
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


def rights_of(metadata: ClientMetadata) -> dict[str, str]:
    """Return the rights of a client as members of an audit event."""
    lists = {"audience": " ".join(metadata.audiences), "serves": " ".join(metadata.serves)}
    return {name: text for name, text in {"scope": metadata.scope, **lists}.items() if text}
