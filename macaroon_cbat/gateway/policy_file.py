"""The policy file of a gateway: strict TOML, read into one value or refused with one line."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from macaroon_cbat.audit.refusals import DEFAULT_LINES
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.gateway.policy_mistakes import mistake_of
from macaroon_cbat.gateway.rules import Rule
from macaroon_cbat.macaroon.audiences import audience_mistake
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW
from macaroon_cbat.macaroon.issuers import issuer_mistake
from macaroon_cbat.macaroon.verification import Requirement
from macaroon_cbat.text.plain_text import text_of

Text = Annotated[str, Meta(pattern=r"^[!-~]+\Z")]
"""Visible ASCII without a space: it may stand in a header."""

FileName = Annotated[str, Meta(min_length=1)]
Prefix = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9_~.-]+)+\Z")]


class ListenTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The addresses on which a gateway answers. A change takes effect at the next start."""

    http: Text | None = None
    """Address for questions over HTTP: `unix:` and a path, or ADDRESS:PORT."""
    grpc: Text | None = None
    """Address for Envoy's ext_authz over gRPC."""
    metrics: Text | None = None
    """Address of the metrics page, which is in the clear and asks for no credentials."""


class ProxyTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The proxy in front of a gateway: its product, its certificate header, and its address or secret."""

    kind: Literal["nginx", "traefik", "caddy", "haproxy", "envoy"]
    """The product, which decides the headers of a question and how it is answered."""
    trust: Annotated[tuple[str, ...], Meta(min_length=1)]
    """The senders that are believed: `unix`, `secret`, networks, or `x5t#S256=THUMBPRINT`."""
    secret_file: FileName | None = None
    """File with the secret that the proxy must send as Proxysecret."""
    format: Text | None = None
    """Certificate format; by default that of the kind."""
    header: Text | None = None
    """Header with the certificate; by default that of the format."""
    companion: Text | None = None
    """Header beside it that says whether there is one; by default that of the format."""
    path_prefix: Prefix = "/envoy"
    """Prefix of the path in Envoy's questions over HTTP."""


class ServiceTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The service that a gateway follows for keys and revocations, and the gateway's credentials there."""

    issuer: Text
    """URL of the service."""
    client_id: Text
    """Name under which the gateway is registered there."""
    certificate: FileName
    """File with the client certificate of the gateway, followed when renewed."""
    key: FileName | None = None
    """File with its private key; by default the certificate's file."""
    client_secret_file: FileName | None = None
    """File with the client secret; without it the certificate authenticates (RFC 8705 2)."""
    ca: FileName | None = None
    """PEM file of the CAs that the service's certificate is checked with; by default the system's."""
    snapshot: FileName | None = None
    """Private file for the keys, which a restart without the service begins with."""
    revocation_snapshot: FileName | None = None
    """Private file for the revocations, which a restart resumes from."""
    max_staleness: Annotated[float, Meta(ge=1)] = 60
    """Seconds without news of revocations after which every answer is 503."""


class IntrospectionTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The service that introspects every token (RFC 7662), and the gateway's credentials there."""

    issuer: Text
    """URL of the service."""
    client_id: Text
    """Name under which the gateway is registered there."""
    client_secret_file: FileName | None = None
    """File with the client secret; without it the certificate authenticates (RFC 8705 2)."""
    certificate: FileName | None = None
    """File with the client certificate of the gateway."""
    key: FileName | None = None
    """File with its private key; by default the certificate's file."""
    ca: FileName | None = None
    """PEM file of the CAs that the service's certificate is checked with; by default the system's."""
    cache_seconds: Annotated[float, Meta(ge=0)] = 0
    """Seconds that a positive answer is remembered, for the same token over the same certificate."""


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole policy file. Names of files are relative to it."""

    audience: Text
    """The audience of the tokens: the absolute URI of the resource server."""
    origin: Text | None = None
    """Origin that `htu` and `path` caveats are compared with; by default that of the audience."""
    require_certificate: bool = True
    """False lets unbound tokens pass."""
    require: Requirement | None = None
    """The confirmation that every token needs: "certificate", the default, "dpop" or "either"."""
    dpop_nonce_secret_file: FileName | None = None
    """File with the secret of the nonces that DPoP proofs must have; without it they need none."""
    explain: bool = False
    """True tells every client the whole reason of a refusal: for development alone."""
    clock_skew: Annotated[int, Meta(ge=0, le=LONGEST_CLOCK_SKEW)] = 30
    """Seconds that the service's clock and this one may differ."""
    keys: FileName | None = None
    """Key file of the audience; or name [service], or [introspection]."""
    service: ServiceTable | None = None
    introspection: IntrospectionTable | None = None
    audit_log: FileName | None = None
    """File of the audit log; by default events are ordinary log lines."""
    audit_refusals: Annotated[int, Meta(ge=0)] = DEFAULT_LINES
    """Audit lines of a budget of refusals in 10 seconds and process; 0 for all."""
    listen: ListenTable
    proxy: ProxyTable
    rule: Annotated[tuple[Rule, ...], Meta(min_length=1)]


def read_policy(file: Path) -> Policy:
    """Return the policy in the file. Raises SettingsError that names file, table and member."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SettingsError(f"the policy file {file} cannot be read: {error.strerror}") from error
    try:
        policy = msgspec.convert(tomllib.loads(text_of(content, f"the policy file {file}")), Policy)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {mistake_of(error)}") from error
    except (ValueError, RecursionError) as error:  # beside TOMLDecodeError, of a number of 5,000 digits
        raise SettingsError(f"{file} is no TOML: {error}") from error
    if mistake := _mistake(policy):
        raise SettingsError(f"{file}: {mistake}")
    return policy


def _mistake(policy: Policy) -> str | None:
    """Return the mistake in members that do not go together, or None."""
    if mistake := audience_mistake(policy.audience):
        return f"audience: {policy.audience!r} {mistake}"
    for table, one in (("[service]", policy.service), ("[introspection]", policy.introspection)):
        if one is not None and (mistake := issuer_mistake(one.issuer.removesuffix("/"))):
            return f"{table}, issuer: {one.issuer!r} {mistake}"
    if policy.require is not None and not policy.require_certificate:
        return "require and require_certificate = false contradict each other: leave one of them out"
    ways = [policy.keys, policy.service, policy.introspection]
    if sum(way is not None for way in ways) != 1:
        return "name one of keys, [service] and [introspection], by which tokens are verified"
    if policy.listen.http is None and policy.listen.grpc is None:
        return "[listen] needs http or grpc: add one, so that the proxy can ask"
    if policy.listen.grpc is not None and policy.proxy.kind != "envoy":
        return '[listen] grpc is how Envoy asks: name kind = "envoy" in [proxy], or leave it out'
    for number, rule in enumerate(policy.rule, 1):
        if mistake := rule.mistake():
            return f"[[rule]] number {number}: {mistake}"
    return None
