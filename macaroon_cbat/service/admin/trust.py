"""The verbs of administration about trusted issuers, on the database and for the endpoints under /admin."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import asdict

from macaroon_cbat.errors import InvalidRequest, NotFound
from macaroon_cbat.macaroon.audiences import is_among
from macaroon_cbat.macaroon.claims import EpochSeconds, scope_tokens
from macaroon_cbat.macaroon.issuers import is_same_issuer
from macaroon_cbat.service.admin.audited import audit_done, audit_gained
from macaroon_cbat.service.admin.shapes import TrustedIssuerRecord, TrustRegistration
from macaroon_cbat.service.federation.jose import usable_keys
from macaroon_cbat.service.registration.rules import Audit
from macaroon_cbat.service.reserved_scopes import RESERVED_SCOPES
from macaroon_cbat.stores import Client, Stores, TrustedIssuer, TrustRecord
from macaroon_cbat.stores.grant_types import JWT_BEARER, TOKEN_EXCHANGE
from macaroon_cbat.stores.trust import GRANTING, read_trust

_USER = "user"
"""The name before the subjects of people who log in at the upstream provider."""
_GRANTS = {"jwt-bearer": JWT_BEARER, "token-exchange": TOKEN_EXCHANGE}


@dataclass(frozen=True, slots=True)
class TrustAdministration:
    """Administers the trusted issuers of a service. Every verb raises Unavailable as Administration's do."""

    stores: Stores
    issuer: str
    clock: Callable[[], float]
    audit: Audit

    def all(self) -> list[TrustedIssuerRecord]:
        """Return every trusted issuer, by name."""
        return [_shown(record) for record in self.stores.trusted_issuers.all()]

    def one(self, name: str) -> TrustedIssuerRecord:
        """Return the trusted issuer of this name, or raise NotFound."""
        record = self.stores.trusted_issuers.find(name)
        if record is None:
            raise _no_trust(name)
        return _shown(record)

    def add(self, members: dict[str, object]) -> TrustedIssuerRecord:
        """Trust an issuer as the members of a TrustRegistration say, once that is audited.

        Raises InvalidRequest for trust that is malformed, contradicts itself or could never apply, NotFound
        for an unknown client, and Conflict when the name is taken.
        """
        wanted = read_trust(members, TrustRegistration)
        trusted = TrustedIssuer(**{name: getattr(wanted, name) for name in TrustedIssuer.__struct_fields__})
        self._refuse(wanted.name, trusted)
        now = EpochSeconds(int(self.clock()))
        record = self.stores.trusted_issuers.add(
            wanted.name, trusted, now, audit=lambda: self._audit_gained(wanted.name, trusted)
        )
        return _shown(record)

    def remove(self, name: str) -> None:
        """Trust an issuer no more, within a second; or raise NotFound. Tokens that were minted live on."""
        if not self.stores.trusted_issuers.remove(name):
            raise _no_trust(name)
        audit_done(self.audit, "trust.removed", trust=name)

    def _refuse(self, name: str, trusted: TrustedIssuer) -> None:
        """Raise InvalidRequest or NotFound for trust that this service must not or cannot have."""
        if name == _USER:
            raise InvalidRequest(f"the name {_USER!r} is that of people who log in here: choose another name")
        if is_same_issuer(trusted.issuer, self.issuer):
            raise InvalidRequest("the issuer is this service itself, which issues no JWT: name another one")
        _refuse_unusable_keys(trusted)
        self._refuse_reserved(trusted)
        if trusted.client is not None:
            client = self.stores.clients.look_up(trusted.client)
            if client is None:
                raise NotFound(f"no client {trusted.client!r}: add it first, then trust its issuer")
            _refuse_client(client, trusted)

    def _refuse_reserved(self, trusted: TrustedIssuer) -> None:
        """Raise InvalidRequest for rights over the service itself that more than one workload would get."""
        reserved = sorted(scope_tokens(trusted.scope or "").intersection(RESERVED_SCOPES))
        if (reserved or is_among(self.issuer, trusted.resources)) and trusted.subject is not None:
            raise InvalidRequest(
                "the scopes keys, revocations and admin, and the service itself, are for clients alone: "
                "leave them out, or leave the subject out"
            )
        if reserved and GRANTING.intersection(trusted.uses) and not is_among(self.issuer, trusted.resources):
            raise InvalidRequest(f"the scope {reserved[0]} is for the service itself: add it as a resource")

    def _audit_gained(self, name: str, trusted: TrustedIssuer) -> None:
        about = {"trust": name, "issuer": trusted.issuer, "client_id": trusted.client}
        rights = {"scope": trusted.scope, "audience": " ".join(trusted.resources) or None}
        audit_gained(self.audit, "trust.added", **about, **rights)


def _refuse_unusable_keys(trusted: TrustedIssuer) -> None:
    """Raise InvalidRequest for keys and CAs that could verify nothing."""
    try:
        if trusted.jwks is not None:
            usable_keys(trusted.jwks)
    except ValueError as error:
        raise InvalidRequest(f"jwks is unusable: {error}") from error
    try:
        if trusted.issuer_ca is not None:
            ssl.create_default_context(cadata=trusted.issuer_ca)
    except (ssl.SSLError, TypeError, ValueError) as error:
        raise InvalidRequest("issuer_ca is unusable: give the PEM certificate of the issuer's CA") from error


def _refuse_client(client: Client, trusted: TrustedIssuer) -> None:
    """Raise InvalidRequest unless the client may use a door that the trust opens."""
    method = client.metadata.token_endpoint_auth_method
    if "client-authentication" in trusted.uses and method != "private_key_jwt":
        raise InvalidRequest(
            f"client {client.client_id} authenticates by {method}: register it with --auth private_key_jwt"
        )
    grants = [_GRANTS[use] for use in trusted.uses if use in _GRANTS]
    if grants and not set(grants).intersection(client.metadata.allowed_grants):
        raise InvalidRequest(
            f"client {client.client_id} may use no grant of this trust: register it for {grants[0]}"
        )


def _shown(record: TrustRecord) -> TrustedIssuerRecord:
    return TrustedIssuerRecord(name=record.name, created_at=record.created_at, **asdict(record.trusted))


def _no_trust(name: str) -> NotFound:
    return NotFound(f"no trusted issuer {name[:64]!r}: see trust list")
