"""The verifiers of a gateway: by a key file, by the service's feeds, or by introspection."""

import logging
from pathlib import Path

from msgspec import Struct

from macaroon_cbat.client.secret import read_secret_file
from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.gateway.policy_file import IntrospectionTable, Policy, ServiceTable
from macaroon_cbat.macaroon.audiences import canonical_audience
from macaroon_cbat.resource.feeds.key_feed import KeyFeed
from macaroon_cbat.resource.feeds.revocation_feed import RevocationFeed
from macaroon_cbat.resource.feeds.service_connection import ServiceConnection
from macaroon_cbat.resource.introspection import Introspection
from macaroon_cbat.resource.key_file import KeyFile
from macaroon_cbat.resource.verifier import AudienceKeySource, OfflineVerifier, TokenVerifier

log = logging.getLogger("macaroon_cbat.gateway")


class VerifierSettings(Struct, frozen=True, kw_only=True):
    """The settings of a verifier. A reload that leaves them unchanged keeps the verifier as it is."""

    audience: str
    keys: Path | None
    service: ServiceTable | None
    introspection: IntrospectionTable | None
    secret: str | None
    folder: Path


class FollowedVerifier(Struct, frozen=True, kw_only=True):
    """A verifier with the settings that it was made from, and the revocations that it follows."""

    settings: VerifierSettings
    verifier: TokenVerifier
    revocations: RevocationFeed | None = None

    def start(self) -> None:
        """Begin to follow the service, and wait a moment for the revocations."""
        if self.revocations is None:
            return
        try:
            self.revocations.current()
        except Unavailable as error:
            log.warning("every token is answered with 503 for now: %s", error)

    def stop(self) -> None:
        """Stop following the service."""
        if self.revocations is not None:
            self.revocations.stop()


def verifier_settings(policy: Policy, folder: Path) -> VerifierSettings:
    """Return the settings of the verifier, secrets included. Raises SettingsError."""
    asking = policy.service or policy.introspection
    secret_file = None if asking is None else asking.client_secret_file
    return VerifierSettings(
        audience=canonical_audience(policy.audience),
        keys=None if policy.keys is None else folder / policy.keys,
        service=policy.service,
        introspection=policy.introspection,
        secret=None if secret_file is None else read_secret_file(folder / secret_file),
        folder=folder,
    )


def make_verifier(settings: VerifierSettings) -> FollowedVerifier:
    """Return the verifier of these settings, which sends no request yet. Raises SettingsError."""
    if settings.service is not None:
        return _offline_by_feeds(settings, settings.service)
    if settings.introspection is not None:
        return FollowedVerifier(settings=settings, verifier=_introspecting(settings, settings.introspection))
    assert settings.keys is not None
    return FollowedVerifier(
        settings=settings, verifier=OfflineVerifier(_for_audience(settings, KeyFile(settings.keys)))
    )


def _for_audience(settings: VerifierSettings, keys: KeyFile) -> AudienceKeySource:
    if keys.audience != settings.audience:
        raise SettingsError(
            f"{settings.keys} has keys for {keys.audience}, not for audience {settings.audience}: name one"
        )
    return keys


def _offline_by_feeds(settings: VerifierSettings, service: ServiceTable) -> FollowedVerifier:
    folder = settings.folder
    connection = ServiceConnection(
        service.issuer,
        service.client_id,
        settings.secret,
        certificate=folder / service.certificate,
        key=None if service.key is None else folder / service.key,
        ca=None if service.ca is None else folder / service.ca,
    )
    snapshots = [
        None if name is None else folder / name for name in (service.snapshot, service.revocation_snapshot)
    ]
    keys = KeyFeed(connection, settings.audience, snapshot=snapshots[0])
    revocations = RevocationFeed(connection, max_staleness=service.max_staleness, snapshot=snapshots[1])
    return FollowedVerifier(
        settings=settings, verifier=OfflineVerifier(keys, revocations), revocations=revocations
    )


def _introspecting(settings: VerifierSettings, asking: IntrospectionTable) -> Introspection:
    folder = settings.folder
    return Introspection(
        asking.issuer,
        settings.audience,
        asking.client_id,
        settings.secret,
        certificate=None if asking.certificate is None else folder / asking.certificate,
        key=None if asking.key is None else folder / asking.key,
        ca=None if asking.ca is None else folder / asking.ca,
        cache_seconds=asking.cache_seconds,
    )
