"""The settings that every guard takes, whatever framework it stands in, and the rules they make."""

import logging
import time
from collections.abc import Collection
from pathlib import Path
from typing import Literal, TypedDict

from macaroon_cbat.certificate.source import CertificateSource, tls_connection
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.claims import DEFAULT_CLOCK_SKEW
from macaroon_cbat.resource.admission import Admission, Clock
from macaroon_cbat.resource.clock_skew import checked_skew
from macaroon_cbat.resource.default_deny import check_default
from macaroon_cbat.resource.origins import checked_origin, origin_of
from macaroon_cbat.resource.paths import checked_root_path
from macaroon_cbat.resource.verifier import (
    AudienceKeySource,
    IssuerRevocations,
    TokenVerifier,
    chosen_verifier,
)

log = logging.getLogger("macaroon_cbat.resource")

_EXPLAINS = (
    "explain=True tells every client the whole reason of each refusal, with what no client should know: it "
    "is for development alone, so leave it out where others can reach the application"
)


class GuardSettings(TypedDict, total=False):
    """What every guard takes, all by keyword: `keys` or a `verifier`, and what differs from the defaults."""

    keys: AudienceKeySource | Path | str | None
    """A key file, or a KeyFeed."""
    verifier: TokenVerifier | None
    """Verifies in the place of keys, such as Introspection."""
    revocations: IssuerRevocations | None
    """The revocations to refuse, with keys: a RevocationFeed."""
    when_stale: TokenVerifier | None
    """Verifies while the revocations are stale, such as Introspection; without it, that is 503."""
    require_certificate: bool
    """False lets unbound tokens pass; True by default."""
    origin: str | None
    """What `htu` and `path` caveats are compared with; by default that of the audience."""
    root_path: str
    """Where the deployment mounts the application, as SCRIPT_NAME (WSGI) or root_path (ASGI) has it, such as
    /api; empty by default. Under any other prefix no caveat about the path is met."""
    clock_skew: int
    """Seconds, 0 to 300, that the service's clock and this one may differ; 30 by default."""
    certificate_source: CertificateSource
    """Finds the client certificate; by default on the TLS connection itself, and nowhere else."""
    clock: Clock
    """Tells the seconds since the epoch."""
    default: Literal["allow", "deny"]
    """What happens to a request that no `require(...)` guards and whose path is not public. "deny" refuses
    it: 401 without a valid token, 403 with one. "allow", the default, runs its view. Guards around a whole
    WSGI or ASGI application always deny."""
    public: Collection[str]
    """Paths that need no token where the guard denies, as the application routes them: percent-decoded,
    without root_path. "/health" is this path alone; "/static/*" is "/static/" and what is below. Empty by
    default."""
    explain: bool
    """True, for development alone, tells every client the whole reason of a refusal; False by default."""


def check_settings(settings: GuardSettings, *, is_around: bool = False) -> None:
    """Raise SettingsError for what is wrong whatever the keys are; `is_around`: the guard always denies."""
    unknown = settings.keys() - GuardSettings.__annotations__.keys()
    if unknown:
        raise SettingsError(f"a guard has no setting {', '.join(sorted(unknown))}")
    checked_skew(settings.get("clock_skew", DEFAULT_CLOCK_SKEW))
    checked_root_path(settings.get("root_path", ""))
    check_default(settings, is_around=is_around)


def make_admission(settings: GuardSettings, *, is_around: bool = False) -> Admission:
    """Return the rules that these settings make, or raise SettingsError that says what is missing."""
    check_settings(settings, is_around=is_around)
    if settings.get("explain", False):
        log.warning(_EXPLAINS)
    verifier = chosen_verifier(
        settings.get("keys"),
        settings.get("verifier"),
        settings.get("revocations"),
        settings.get("when_stale"),
    )
    origin = settings.get("origin")
    return Admission(
        verifier=verifier,
        certificate_source=settings.get("certificate_source", tls_connection),
        require_certificate=settings.get("require_certificate", True),
        origin=origin_of(verifier.audience) if origin is None else checked_origin(origin),
        root_path=settings.get("root_path", ""),
        clock_skew=settings.get("clock_skew", DEFAULT_CLOCK_SKEW),
        clock=settings.get("clock", time.time),
        explain=settings.get("explain", False),
    )
