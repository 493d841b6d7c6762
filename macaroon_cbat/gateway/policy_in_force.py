"""The policy in force, and how another one takes its place: whole, valid, and between two questions."""

import logging
from pathlib import Path

from msgspec import Struct, structs

from macaroon_cbat.certificate.forwarded import TrustedProxies, trusted_proxies
from macaroon_cbat.certificate.header_source import HeaderSource
from macaroon_cbat.certificate.source import tls_connection
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import Stamp, stamp_of
from macaroon_cbat.gateway.decision import Gateway
from macaroon_cbat.gateway.places import read_place
from macaroon_cbat.gateway.policy_file import Policy, read_policy
from macaroon_cbat.gateway.question import KINDS
from macaroon_cbat.gateway.rules import Rules
from macaroon_cbat.gateway.verifiers import Means, VerifierSettings, make_verifier, means_of, read_secret
from macaroon_cbat.resource.metadata import metadata_target
from macaroon_cbat.resource.settings import make_admission
from macaroon_cbat.resource.verifier import TokenVerifier
from macaroon_cbat.server.address import Address

log = logging.getLogger("macaroon_cbat.gateway")


class InForce(Struct, frozen=True, kw_only=True):
    """One policy, ready to decide by; over gRPC, Envoy says itself whose TLS connection it is."""

    verifying: VerifierSettings
    over_http: Gateway
    over_grpc: Gateway


class LoadedPolicy(Struct, frozen=True, kw_only=True):
    """A policy file that was read and holds together, with the secrets of its files."""

    policy: Policy
    means: Means
    proxy_secret: str | None


def read(file: Path) -> LoadedPolicy:
    """Read a policy file and the secrets that it names, or raise SettingsError."""
    policy, folder = read_policy(file), file.absolute().parent
    secret = policy.proxy.secret_file
    return LoadedPolicy(
        policy=policy,
        means=means_of(policy, folder),
        proxy_secret=None if secret is None else read_secret(folder / secret),
    )


def put_in_force(reading: LoadedPolicy, before: InForce | None = None) -> InForce:
    """Return the policy, ready, or raise SettingsError; by the verifier of `before` where it is the same."""
    is_same = before is not None and before.verifying.means == reading.means
    verifying = before.verifying if before is not None and is_same else make_verifier(reading.means)
    gateway = _gateway(reading, verifying.verifier)
    over_grpc = structs.replace(
        gateway, admission=structs.replace(gateway.admission, certificate_source=tls_connection)
    )
    return InForce(verifying=verifying, over_http=gateway, over_grpc=over_grpc)


def _gateway(reading: LoadedPolicy, verifier: TokenVerifier) -> Gateway:
    policy = reading.policy
    kind, trust = KINDS[policy.proxy.kind], _trust(reading)
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
        admission=make_admission(
            {
                "verifier": verifier,
                # The bare source: the gateway has judged the sender before it admits a request.
                "certificate_source": HeaderSource(
                    policy.proxy.format or kind.format,
                    header=policy.proxy.header,
                    companion=policy.proxy.companion,
                ),
                "require_certificate": policy.require_certificate,
                "origin": policy.origin,
                "clock_skew": policy.clock_skew,
                "explain": policy.explain,
            }
        ),
    )


def _trust(reading: LoadedPolicy) -> TrustedProxies:
    """Return who may ask, or raise SettingsError where nobody could."""
    trust = trusted_proxies(reading.policy.proxy.trust, secret=reading.proxy_secret)
    if trust.certificates:
        raise SettingsError("[proxy], trust: nobody presents a certificate here, where there is no TLS")
    for member, place in places(reading).items():
        if member != "metrics" and not (trust.is_unix_trusted if place.path is not None else trust.networks):
            raise SettingsError(
                f"[proxy], trust names nobody who can connect to {place}, so nobody could ask"
            )
    return trust


def places(reading: LoadedPolicy) -> dict[str, Address]:
    """Return where to listen for what: `http`, `grpc`, `metrics`, as far as they are named."""
    members = structs.asdict(reading.policy.listen)
    folder = reading.means.folder
    found = {member: read_place(text, member, folder) for member, text in members.items() if text is not None}
    if "metrics" in found and found["metrics"].path is not None:
        raise SettingsError("[listen], metrics: Prometheus asks over ADDRESS:PORT, not over a Unix socket")
    return found


class PolicyWatch:
    """Looks at a policy file, and the secret files it names, and says when there is a valid new policy."""

    def __init__(self, file: Path) -> None:
        """Read the file, or raise SettingsError."""
        self._file = file
        self._files: tuple[Path, ...] = (file,)
        self._seen: Stamp = ()
        self.reading = self._read()
        self._at_last_look: Stamp = self._seen
        self._said: str | None = None

    def look(self, *, anyway: bool = False) -> bool:
        """Return True if there is a valid new policy: it is `reading` then. An invalid one is logged, once.

        A file that changed since the last look is left alone: somebody may be in the middle of writing
        it, and half of the rules can be laxer than all. With `anyway` it is read without asking.
        """
        stamp, before = stamp_of(self._files), self._at_last_look
        self._at_last_look = stamp
        if not anyway and (stamp == self._seen or stamp != before):
            return False
        try:
            reading = self._read()
            put_in_force(reading)
        except SettingsError as error:
            if str(error) != self._said:
                log.error("going on with the rules read before: %s", error)  # noqa: TRY400 # no defect of ours
            self._said = str(error)
            return False
        self._said = None
        policy, old = reading.policy, self.reading.policy
        if policy.listen != old.listen or policy.audit_log != old.audit_log:
            log.warning("[listen] and audit_log of %s count when the gateway starts again", self._file)
        log.info("%s was read again: %d rules", self._file, len(policy.rule))
        self.reading = reading
        return True

    def _read(self) -> LoadedPolicy:
        """Return what the files hold, or raise SettingsError: then they are read once they change again."""
        while True:
            files, self._seen = self._files, stamp_of(self._files)
            reading = read(self._file)
            self._files = (self._file, *_secret_files(reading))
            if self._files == files:
                return reading  # each of them was looked at before it was read


def _secret_files(reading: LoadedPolicy) -> list[Path]:
    """Return the files whose content is part of the reading; keys and certificates are followed elsewhere."""
    policy = reading.policy
    asking = policy.service or policy.introspection
    names = (policy.proxy.secret_file, None if asking is None else asking.client_secret_file)
    return [reading.means.folder / name for name in names if name is not None]
