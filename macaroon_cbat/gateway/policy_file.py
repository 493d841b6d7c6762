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
from macaroon_cbat.text.plain_text import text_of

Text = Annotated[str, Meta(pattern=r"^[!-~]+\Z")]
"""Visible ASCII without a space: it may stand in a header."""

FileName = Annotated[str, Meta(min_length=1)]
Prefix = Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9_~.-]+)+\Z")]


class Listen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The places to listen at: `unix:` and a path, or ADDRESS:PORT. Read at the start alone."""

    http: Text | None = None
    grpc: Text | None = None
    metrics: Text | None = None


class ProxyTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The proxy in front: its kind, the proofs by which it is trusted, and its certificate format."""

    kind: Literal["nginx", "traefik", "caddy", "haproxy", "envoy"]
    trust: Annotated[tuple[str, ...], Meta(min_length=1)]
    secret_file: FileName | None = None
    format: Text | None = None
    header: Text | None = None
    companion: Text | None = None
    path_prefix: Prefix = "/envoy"


class Service(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The service whose keys and revocations are followed, and the client that follows them."""

    issuer: Text
    client_id: Text
    certificate: FileName
    key: FileName | None = None
    client_secret_file: FileName | None = None
    ca: FileName | None = None
    snapshot: FileName | None = None
    revocation_snapshot: FileName | None = None
    max_staleness: Annotated[float, Meta(ge=1)] = 60


class Asking(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The service that introspects every token (RFC 7662), and the client that asks it."""

    issuer: Text
    client_id: Text
    client_secret_file: FileName | None = None
    certificate: FileName | None = None
    key: FileName | None = None
    ca: FileName | None = None
    cache_seconds: Annotated[float, Meta(ge=0)] = 0


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole policy file. Names of files are relative to it."""

    audience: Text
    origin: Text | None = None
    require_certificate: bool = True
    explain: bool = False
    clock_skew: Annotated[int, Meta(ge=0, le=LONGEST_CLOCK_SKEW)] = 30
    keys: FileName | None = None
    service: Service | None = None
    introspection: Asking | None = None
    audit_log: FileName | None = None
    audit_refusals: Annotated[int, Meta(ge=0)] = DEFAULT_LINES
    listen: Listen
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
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is no TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {mistake_of(error)}") from error
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
