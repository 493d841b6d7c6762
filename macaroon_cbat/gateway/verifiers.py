"""By what a gateway verifies tokens: a key file, the service's feeds, or asking about every token."""

import logging
from pathlib import Path

from msgspec import Struct

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.gateway.policy_file import Asking, Policy, Service
from macaroon_cbat.macaroon.audiences import canonical_audience
from macaroon_cbat.resource.feeds.key_feed import KeyFeed
from macaroon_cbat.resource.feeds.revocation_feed import RevocationFeed
from macaroon_cbat.resource.feeds.service_connection import ServiceConnection
from macaroon_cbat.resource.introspection import Introspection
from macaroon_cbat.resource.key_file import KeyFile
from macaroon_cbat.resource.verifier import AudienceKeySource, OfflineVerifier, TokenVerifier
from macaroon_cbat.text.plain_text import LONGEST_SECRET, secret_of

log = logging.getLogger("macaroon_cbat.gateway")


class Means(Struct, frozen=True, kw_only=True):
    """The part of a policy that verifying depends on; with the same means, what is known stays known."""

    audience: str
    keys: Path | None
    service: Service | None
    introspection: Asking | None
    secret: str | None
    folder: Path


class VerifierSettings(Struct, frozen=True, kw_only=True):
    """Verifies tokens by these means."""

    means: Means
    verifier: TokenVerifier
    revocations: RevocationFeed | None = None

    def start(self) -> None:
        """Begin to follow the service, and wait a moment for what is revoked."""
        if self.revocations is None:
            return
        try:
            self.revocations.current()
        except Unavailable as error:
            log.warning("every token is answered with 503 for now: %s", error)

    def stop(self) -> None:
        """Follow the service no longer."""
        if self.revocations is not None:
            self.revocations.stop()


def means_of(policy: Policy, folder: Path) -> Means:
    """Return what tokens are verified by, secrets included, or raise SettingsError."""
    asking = policy.service or policy.introspection
    secret_file = None if asking is None else asking.client_secret_file
    return Means(
        audience=canonical_audience(policy.audience),
        keys=None if policy.keys is None else folder / policy.keys,
        service=policy.service,
        introspection=policy.introspection,
        secret=None if secret_file is None else read_secret(folder / secret_file),
        folder=folder,
    )


def make_verifier(means: Means) -> VerifierSettings:
    """Return the verifier of these means, or raise SettingsError. Nothing is asked yet."""
    if means.service is not None:
        return _following(means, means.service)
    if means.introspection is not None:
        return VerifierSettings(means=means, verifier=_asking(means, means.introspection))
    assert means.keys is not None
    return VerifierSettings(means=means, verifier=OfflineVerifier(_of(means, KeyFile(means.keys))))


def _of(means: Means, keys: KeyFile) -> AudienceKeySource:
    if keys.audience != means.audience:
        raise SettingsError(f"{means.keys} has keys for {keys.audience}, not for audience {means.audience}")
    return keys


def _following(means: Means, service: Service) -> VerifierSettings:
    folder = means.folder
    connection = ServiceConnection(
        service.issuer,
        service.client_id,
        means.secret,
        certificate=folder / service.certificate,
        key=None if service.key is None else folder / service.key,
        ca=None if service.ca is None else folder / service.ca,
    )
    snapshots = [
        None if name is None else folder / name for name in (service.snapshot, service.revocation_snapshot)
    ]
    keys = KeyFeed(connection, means.audience, snapshot=snapshots[0])
    revocations = RevocationFeed(connection, max_staleness=service.max_staleness, snapshot=snapshots[1])
    return VerifierSettings(means=means, verifier=OfflineVerifier(keys, revocations), revocations=revocations)


def _asking(means: Means, asking: Asking) -> Introspection:
    folder = means.folder
    return Introspection(
        asking.issuer,
        means.audience,
        asking.client_id,
        means.secret,
        certificate=None if asking.certificate is None else folder / asking.certificate,
        key=None if asking.key is None else folder / asking.key,
        ca=None if asking.ca is None else folder / asking.ca,
        cache_seconds=asking.cache_seconds,
    )


def read_secret(file: Path) -> str:
    """Return the secret in a file that others cannot use, or raise SettingsError."""
    try:
        with open_private(file, "secret file") as stream:
            return secret_of(stream.read(LONGEST_SECRET + 1), f"the secret file {file}")
    except OSError as error:
        raise SettingsError(f"the secret file {file} cannot be read: {error.strerror}") from error
