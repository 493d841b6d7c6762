"""The policy in force, which a valid new one replaces whole, between two questions."""

import logging
from pathlib import Path

from msgspec import Struct, structs

from macaroon_cbat.certificate.forwarded import TrustedProxies, trusted_proxies
from macaroon_cbat.certificate.header_source import HeaderSource
from macaroon_cbat.client.secret import read_secret_file
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import require
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.gateway.decision import Gateway
from macaroon_cbat.gateway.places import read_place
from macaroon_cbat.gateway.policy_file import Policy, read_policy
from macaroon_cbat.gateway.question import KINDS
from macaroon_cbat.gateway.rules import Rules
from macaroon_cbat.gateway.verifiers import (
    FollowedVerifier,
    VerifierSettings,
    make_verifier,
    verifier_settings,
)
from macaroon_cbat.macaroon.dpop_nonces import DpopNonces
from macaroon_cbat.resource.metadata import metadata_target
from macaroon_cbat.resource.settings import GuardSettings, make_admission
from macaroon_cbat.resource.used_proofs import UsedProofs
from macaroon_cbat.resource.verifier import TokenVerifier
from macaroon_cbat.server.address import Address

log = logging.getLogger("macaroon_cbat.gateway")

_EXTRAS = {"metrics": ("metrics", "prometheus_client"), "grpc": ("envoy", "grpc", "envoy")}
"""The extra of a member of [listen], and its modules: `gateway --check` must not pass what cannot start."""


class InForce(Struct, frozen=True, kw_only=True):
    """One policy, ready to decide by."""

    verifier: FollowedVerifier
    gateway: Gateway


class LoadedPolicy(Struct, frozen=True, kw_only=True):
    """A valid policy file, with the secrets of the files that it names."""

    policy: Policy
    verifier: VerifierSettings
    proxy_secret: str | None
    nonces: DpopNonces | None = None


def load_policy(file: Path) -> LoadedPolicy:
    """Return a policy file with the secrets that it names. Raises SettingsError."""
    policy, folder = read_policy(file), file.absolute().parent
    secret = policy.proxy.secret_file
    return LoadedPolicy(
        policy=policy,
        verifier=verifier_settings(policy, folder),
        proxy_secret=None if secret is None else read_secret_file(folder / secret),
        nonces=_nonces(policy, folder),
    )


def _nonces(policy: Policy, folder: Path) -> DpopNonces | None:
    name = policy.dpop_nonce_secret_file
    if name is None:
        return None
    try:
        return DpopNonces(read_secret_file(folder / name).encode())
    except ValueError as error:
        raise SettingsError(f"dpop_nonce_secret_file: {error}: openssl rand -hex 32 prints one") from error


def put_in_force(
    loaded: LoadedPolicy, before: InForce | None = None, used: UsedProofs | None = None
) -> InForce:
    """Return the policy, ready, with the verifier of `before` if that has the same settings.

    `used` are the proofs that were used; those used under `before` stay so. Raises SettingsError.
    """
    is_same = before is not None and before.verifier.settings == loaded.verifier
    verifier = before.verifier if before is not None and is_same else make_verifier(loaded.verifier)
    used = used if before is None else before.gateway.admission.proofs.used
    return InForce(verifier=verifier, gateway=_gateway(loaded, verifier.verifier, used))


def _gateway(loaded: LoadedPolicy, verifier: TokenVerifier, used: UsedProofs | None) -> Gateway:
    policy = loaded.policy
    kind, trust = KINDS[policy.proxy.kind], _trust(loaded)
    try:
        rules = Rules(policy.rule)
    except ValueError as error:
        raise SettingsError(f"[[rule]]: {error}") from error
    return Gateway(
        rules=rules,
        kind=kind,
        path_prefix=policy.proxy.path_prefix,
        trust=trust,
        document=metadata_target(policy.audience),
        admission=make_admission(_settings(loaded, verifier, used)),
    )


def _settings(loaded: LoadedPolicy, verifier: TokenVerifier, used: UsedProofs | None) -> GuardSettings:
    policy = loaded.policy
    settings: GuardSettings = {
        "verifier": verifier,
        # The bare source: the gateway has judged the sender before it admits a request.
        "certificate_source": HeaderSource(
            policy.proxy.format or KINDS[policy.proxy.kind].format,
            header=policy.proxy.header,
            companion=policy.proxy.companion,
        ),
        "require_certificate": policy.require_certificate,
        "dpop_nonces": loaded.nonces,
        "used_proofs": used,
        "origin": policy.origin,
        "clock_skew": policy.clock_skew,
        "explain": policy.explain,
    }
    return settings if policy.require is None else {**settings, "require": policy.require}


def _trust(loaded: LoadedPolicy) -> TrustedProxies:
    """Return the trusted proxies. Raises SettingsError if none of them could connect."""
    trust = trusted_proxies(loaded.policy.proxy.trust, secret=loaded.proxy_secret)
    if trust.certificates:
        raise SettingsError(
            "[proxy], trust names a certificate, and a gateway has no TLS: name unix, secret or a network"
        )
    for member, place in places(loaded).items():
        if member != "metrics" and not (trust.is_unix_trusted if place.path is not None else trust.networks):
            raise SettingsError(
                f"[proxy], trust names no proxy that can connect to {place}: add unix or a network"
            )
    return trust


def places(loaded: LoadedPolicy) -> dict[str, Address]:
    """Return the place to listen at for each of `http`, `grpc` and `metrics` that the policy names.

    Raises SettingsError for a place that no listener can have, or whose extra is not installed.
    """
    members = structs.asdict(loaded.policy.listen)
    folder = loaded.verifier.folder
    found = {member: read_place(text, member, folder) for member, text in members.items() if text is not None}
    if "metrics" in found and found["metrics"].path is not None:
        raise SettingsError(
            "[listen], metrics is a Unix socket: name ADDRESS:PORT, where Prometheus connects"
        )
    for member in found.keys() & _EXTRAS.keys():
        require(*_EXTRAS[member])
    return found


class PolicyWatch:
    """A policy file and the secret files that it names, which are looked at for a valid new policy."""

    def __init__(self, file: Path) -> None:
        """Read the files. Raises SettingsError."""
        self._file = file
        self._is_serving = False
        # Half a policy can allow more than the whole one, so it is not read at the first sign of a change.
        self._followed = Followed("policy", [file], self._read, log, named=_secret_files, level=logging.ERROR)
        self._is_serving = True

    @property
    def loaded(self) -> LoadedPolicy:
        """The last valid policy."""
        return self._followed.value

    def look(self, *, anyway: bool = False) -> bool:
        """Return True if there is a valid new policy, `loaded` from now on. An invalid one is logged, once.

        `anyway` reads the files at once, changed or not.
        """
        old = self.loaded.policy
        if not self._followed.look(anyway=anyway):
            return False
        policy = self.loaded.policy
        if policy.listen != old.listen or policy.audit_log != old.audit_log:
            log.warning(
                "[listen] and audit_log of %s have changed: restart the gateway to use them", self._file
            )
        log.info("%d rules of %s are in force", len(policy.rule), self._file)
        return True

    def _read(self) -> LoadedPolicy:
        loaded = load_policy(self._file)
        if self._is_serving:  # at the start the caller puts it in force, once counters have their place
            put_in_force(loaded)
        return loaded


def _secret_files(loaded: LoadedPolicy) -> list[Path]:
    """Return the secret files of a policy; keys and certificates are followed elsewhere."""
    policy = loaded.policy
    asking = policy.service or policy.introspection
    own = (policy.proxy.secret_file, policy.dpop_nonce_secret_file)
    names = (*own, None if asking is None else asking.client_secret_file)
    return [loaded.verifier.folder / name for name in names if name is not None]
