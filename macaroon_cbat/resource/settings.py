"""The settings of a guard, the same in every framework, and the admission rules that they make."""

import logging
import time
from collections.abc import Collection, Mapping
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Literal, TypedDict, get_args

from macaroon_cbat.certificate.source import CertificateSource, tls_connection
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.claims import DEFAULT_CLOCK_SKEW
from macaroon_cbat.macaroon.custom import Judge
from macaroon_cbat.macaroon.dpop_nonces import DpopNonces
from macaroon_cbat.macaroon.verification import Requirement
from macaroon_cbat.resource.admission import Admission, Clock
from macaroon_cbat.resource.caveat_judges import CaveatJudges
from macaroon_cbat.resource.clock_skew import checked_skew
from macaroon_cbat.resource.default_deny import check_default
from macaroon_cbat.resource.origins import checked_origin, origin_of
from macaroon_cbat.resource.paths import checked_root_path
from macaroon_cbat.resource.proofs import ProofRules
from macaroon_cbat.resource.used_proofs import RememberedProofs, UsedProofs
from macaroon_cbat.resource.verifier import (
    AudienceKeySource,
    IssuerRevocations,
    TokenVerifier,
    chosen_verifier,
)

log = logging.getLogger("macaroon_cbat.resource")

_EXPLAINS = (
    "explain=True tells every client the whole reason of each refusal, with details that no client should "
    "learn: it is for development alone, so leave it out where others can reach the application"
)


class GuardSettings(TypedDict, total=False):
    """The settings of a guard, all by keyword: `keys` or a `verifier`, and what differs from the defaults.

    Each mistake is a SettingsError where the guard is made.
    """

    keys: AudienceKeySource | Path | str | None
    """The audience's keys: the path of a key file (JSON, as `macaroon-cbat key export` writes it; followed
    when it changes), a KeyFeed, or AudienceKeys in memory. A file that is missing, damaged or readable by
    other users is a SettingsError."""
    verifier: TokenVerifier | None
    """The verifier in place of `keys`, such as Introspection. Both or neither is a SettingsError."""
    revocations: IssuerRevocations | None
    """The feed of tokens, clients and certificates that are revoked before they expire (a RevocationFeed);
    only with `keys`, and of the same issuer. A guard without it notices no revocation."""
    when_stale: TokenVerifier | None
    """The verifier while the revocations are stale, such as Introspection, of the same issuer and audience;
    only with `keys` and `revocations`. A guard without it answers 503 meanwhile."""
    require_certificate: bool
    """True, the default, refuses tokens without a `cnf` caveat (401). False accepts them from any sender."""
    require: Requirement
    """The confirmation that every token needs: "certificate", the default, by the client certificate of the
    connection (RFC 8705); "dpop" by the key of a DPoP proof (RFC 9449); "either" by one of them. A token that
    is bound to both needs both everywhere. It does not go with require_certificate=False."""
    dpop_nonces: DpopNonces | None
    """The nonces that DPoP proofs must have, made of one secret for all processes: DpopNonces(secret). None,
    the default, requires none."""
    used_proofs: UsedProofs | None
    """The memory of used DPoP proofs: by default RememberedProofs(), which this process and those forked from
    it share. One of your own can be shared by several machines."""
    origin: str | None
    """The origin that DPoP proofs, and `htu` and `path` caveats, are compared with: SCHEME://HOST[:PORT],
    without a path. It is the audience's by default, and never the Host header."""
    root_path: str
    """The path below which the deployment mounts the application, as SCRIPT_NAME (WSGI) or root_path (ASGI)
    has it: percent-decoded, such as /api, without a slash at the end; empty by default. No caveat about the
    path is met under any other prefix, and no path is public."""
    clock_skew: int
    """The seconds by which the clocks of service and resource server may differ: 0 to 300, 30 by default."""
    certificate_source: CertificateSource
    """The source of the client certificate: by default the TLS connection itself, and nothing else. It is
    `Forwarded(FORMAT, trust=trusted_proxies([...]))` behind a proxy."""
    clock: Clock
    """A function without arguments that returns the seconds since 1970-01-01T00:00:00Z; `time.time` by
    default."""
    default: Literal["allow", "deny"]
    """The treatment of a request whose path is not public and whose view is not under `require(...)`. "deny"
    refuses it: 401 without a valid token, 403 with one. "allow", the default, runs its view. Guards around a
    whole WSGI or ASGI application always deny. Anything else is a SettingsError."""
    public: Collection[str]
    """The paths that need no token where the guard denies, as the application routes them: percent-decoded,
    without `root_path`. "/health" is this path alone; "/static/*" is "/static/" and every plain path below
    it. Empty by default."""
    caveats: Mapping[str, Judge]
    """The judges of custom caveats, by name: functions that take a caveat's JSON value and the facts of the
    request, and return the reason to refuse it, or None. They are called once the signature and every other
    caveat allow the request. A caveat without a judge is refused. A name that a known caveat has is a
    SettingsError."""
    explain: bool
    """True tells every client the whole reason of a refusal, for development alone; False by default."""


def check_settings(settings: GuardSettings, *, is_around: bool = False) -> None:
    """Raise SettingsError for mistakes in all but the keys; `is_around`: the guard always denies."""
    unknown = settings.keys() - GuardSettings.__annotations__.keys()
    if unknown:
        raise SettingsError(f"a guard has no setting {', '.join(sorted(unknown))}")
    checked_skew(settings.get("clock_skew", DEFAULT_CLOCK_SKEW))
    checked_root_path(settings.get("root_path", ""))
    check_default(settings, is_around=is_around)
    _check_requirement(settings)
    if not isinstance(settings.get("dpop_nonces"), DpopNonces | None):
        raise SettingsError("dpop_nonces is no DpopNonces: write DpopNonces(secret), of 32 random bytes")


def _memory(settings: GuardSettings) -> UsedProofs:
    """Return the memory of used proofs, shared with processes that are forked: any guard may be sent some."""
    memory = settings.get("used_proofs")
    if memory is None:  # an empty memory may be false
        memory = RememberedProofs()
    if iscoroutinefunction(getattr(memory, "add", None)):
        raise SettingsError("used_proofs has an async add: give it a plain function, which runs in a thread")
    return memory.prepare() if isinstance(memory, RememberedProofs) else memory


def _check_requirement(settings: GuardSettings) -> None:
    require = settings.get("require", "certificate")
    if require not in get_args(Requirement):
        raise SettingsError(f"require is {require!r}: write 'certificate', 'dpop' or 'either'")
    if "require" in settings and not settings.get("require_certificate", True):
        raise SettingsError(
            f"require={require!r} and require_certificate=False contradict each other: leave one of them out"
        )


def make_admission(settings: GuardSettings, *, is_around: bool = False) -> Admission:
    """Return the rules of a guard with these settings. Raises SettingsError that says what to do."""
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
    origin = origin_of(verifier.audience) if origin is None else checked_origin(origin)
    require = settings.get("require", "certificate")
    if require != "certificate" and origin is None:
        raise SettingsError(
            f"the audience {verifier.audience} is no web URL, and DPoP proofs are for URLs: set the origin"
        )
    return Admission(
        verifier=verifier,
        certificate_source=settings.get("certificate_source", tls_connection),
        require_certificate=settings.get("require_certificate", True),
        require=require,
        proofs=ProofRules(settings.get("dpop_nonces"), _memory(settings)),
        origin=origin,
        root_path=settings.get("root_path", ""),
        clock_skew=settings.get("clock_skew", DEFAULT_CLOCK_SKEW),
        clock=settings.get("clock", time.time),
        custom=judges_of(settings),
        explain=settings.get("explain", False),
    )


def judges_of(settings: GuardSettings) -> CaveatJudges:
    """Return the judges of the settings, the same object if it is one already. Raises SettingsError."""
    judges = settings.get("caveats", {})
    return judges if isinstance(judges, CaveatJudges) else CaveatJudges(judges)
