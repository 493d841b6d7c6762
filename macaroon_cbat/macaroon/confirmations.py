"""The confirmation caveats: `cnf` with a client certificate (RFC 8705) or with a DPoP key (RFC 9449).

Each confirmation must hold, so a token that is bound to a certificate and a key needs both. One `cnf` with
both members says the same as two with one member each.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.macaroon.access import Access
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.text.base64url import PATTERN_OF_32_BYTES

ThumbprintText = Annotated[str, Meta(pattern=PATTERN_OF_32_BYTES)]


class ConfirmationMethods(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The member of `cnf` that names a certificate by its thumbprint (RFC 8705 3.1)."""

    thumbprint: ThumbprintText = field(name="x5t#S256")


class Confirmation(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Refuses every connection but those made with this certificate (RFC 8705 3.1)."""

    cnf: ConfirmationMethods

    def prohibits(self, access: Access, /) -> str | None:
        """Return why the certificate of this connection does not confirm the token."""
        if access.certificate == self.cnf.thumbprint:
            return None
        if access.certificate is None:
            return f"cnf: bound to certificate {self.cnf.thumbprint}, but the connection presented none"
        return f"cnf: bound to certificate {self.cnf.thumbprint}, not to {access.certificate}"


class KeyMethods(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The member of `cnf` that names a key by its JWK thumbprint (RFC 9449 6.1)."""

    jkt: ThumbprintText


class KeyConfirmation(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Refuses every request without a DPoP proof by this key (RFC 9449 6.1)."""

    cnf: KeyMethods

    def prohibits(self, access: Access, /) -> str | None:
        """Return why the proof of this request does not confirm the token."""
        if access.proof_key == self.cnf.jkt:
            return None
        if access.proof_key is None:
            return f"cnf: bound to key {self.cnf.jkt}, but the token came without a DPoP proof"
        return f"cnf: bound to key {self.cnf.jkt}, not to {access.proof_key}"


AnyConfirmation = Confirmation | KeyConfirmation


def confirmation(thumbprint: Thumbprint) -> Confirmation:
    """Return the caveat that binds a macaroon to a client certificate."""
    return Confirmation(ConfirmationMethods(thumbprint))


def key_confirmation(thumbprint: KeyThumbprint) -> KeyConfirmation:
    """Return the caveat that binds a macaroon to a key, which DPoP proofs are signed with."""
    return KeyConfirmation(KeyMethods(thumbprint))


def read_confirmations(cnf: object) -> tuple[AnyConfirmation, ...]:
    """Return the confirmations that the value of a `cnf` says, one a member, or raise ValidationError."""
    if not isinstance(cnf, dict) or "jkt" not in cnf:
        return (msgspec.convert({"cnf": cnf}, Confirmation),)
    key = msgspec.convert({"cnf": {"jkt": cnf["jkt"]}}, KeyConfirmation)
    others = {name: value for name, value in cnf.items() if name != "jkt"}
    return (*read_confirmations(others), key) if others else (key,)
