"""The effective rights of a token after all of its caveats, and caveats that leave none or restrict nothing.

Nothing is verified here: a holder learns what a resource server would find, as far as the token tells it.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

from msgspec import UNSET, Struct
from msgspec.structs import replace

from macaroon_cbat.certificate.address import network_named
from macaroon_cbat.macaroon.caveats import (
    Access,
    Audience,
    Caveat,
    ClientAddress,
    Confirmation,
    Expiry,
    KeyConfirmation,
    Method,
    NotBefore,
    PathPrefix,
    Scope,
    TargetUri,
)
from macaroon_cbat.macaroon.claims import EpochSeconds, scope_tokens, several
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.target import parse_target
from macaroon_cbat.text.printable import quoted

_MILLISECONDS = 100_000_000_000  # as seconds, the year 5138
_MAPPED = network_named("::ffff:0:0/96")
_MOST_PAIRS = 400  # an attacker may list hundreds in each of many caveats


class Rights(Struct, frozen=True, kw_only=True):
    """The rights that a token still has, by the members of caveats. None: unknown, or not restricted."""

    scope: frozenset[str] | None = None
    aud: tuple[str, ...] | None = None
    exp: int | None = None
    nbf: int | None = None
    htm: tuple[str, ...] | None = None
    htu: str | None = None
    path: str | None = None
    ip: tuple[str, ...] | None = None
    cnf: str | None = None
    jkt: str | None = None


class Remark(Struct, frozen=True):
    """A sentence about one caveat: it leaves no request that could use the token, or it restricts nothing."""

    text: str
    is_fatal: bool = True


Narrowed = tuple[Rights, Remark | None]


def granted(grant: Grant | None) -> Rights:
    """Return the rights that an identifier grants; those of a foreign one are not known."""
    if grant is None:
        return Rights()
    aud = None if grant.aud is UNSET else several(grant.aud)
    return Rights(scope=scope_tokens(grant.scope), aud=aud, exp=grant.exp)


def narrow(rights: Rights, caveats: Iterable[Caveat], now: EpochSeconds) -> tuple[Rights, list[Remark]]:
    """Return the rights that the caveats leave, and a remark for each caveat that calls for one."""
    remarks = []
    for caveat in caveats:
        rights, remark = _narrow(rights, caveat, now)
        if remark is not None:
            remarks.append(remark)
    return rights, remarks


def _narrow(rights: Rights, caveat: Caveat, now: EpochSeconds) -> Narrowed:
    match caveat:
        case Scope():
            narrowed = _to_scope(rights, caveat)
        case Audience():
            narrowed = _to_audience(rights, caveat)
        case Expiry():
            narrowed = _until(rights, caveat.exp, now)
        case NotBefore():
            narrowed = _from(rights, caveat.nbf)
        case Method():
            narrowed = _to_method(rights, caveat)
        case TargetUri():
            narrowed = _to_target(rights, caveat)
        case PathPrefix():
            narrowed = _to_path(rights, caveat)
        case ClientAddress():
            narrowed = _to_networks(rights, caveat)
        case Confirmation() | KeyConfirmation():
            narrowed = _to_confirmation(rights, caveat)
    return narrowed


def _to_scope(rights: Rights, caveat: Scope) -> Narrowed:
    asked, had = scope_tokens(caveat.scope), rights.scope
    left = asked if had is None else had & asked
    if left or not had:
        return replace(rights, scope=left), None
    named = quoted(" ".join(sorted(had)))
    return replace(rights, scope=left), Remark(
        f"scope {quoted(caveat.scope)} is outside of what is left, {named}: choose among these"
    )


def _to_audience(rights: Rights, caveat: Audience) -> Narrowed:
    asked, had = several(caveat.aud), rights.aud
    if not had or len(asked) * len(had) > _MOST_PAIRS:
        return replace(rights, aud=asked if had is None else had), None
    left = tuple(one for one in had if caveat.prohibits(Access(now=EpochSeconds(0), audience=one)) is None)
    if left:
        return replace(rights, aud=left), None
    return replace(rights, aud=()), Remark(
        f"aud {quoted(caveat.aud)} is not what the token is for, {_named(had)}: get a token for that audience"
    )


def _until(rights: Rights, exp: int, now: EpochSeconds) -> Narrowed:
    slip = ": it looks like milliseconds, write seconds" if exp >= _MILLISECONDS else ""
    if rights.exp is not None and exp >= rights.exp:
        if exp == rights.exp:
            return rights, None
        return rights, Remark(
            f"exp {exp} is later than {rights.exp}, when the token expires, and restricts nothing{slip}",
            is_fatal=False,
        )
    left = replace(rights, exp=exp)
    if exp <= now:
        return left, Remark(f"exp {exp} is {now - exp} s ago: the token has expired")
    if slip:
        return left, Remark(f"exp {exp} restricts nothing{slip}", is_fatal=False)
    return left, _never(left)


def _from(rights: Rights, nbf: int) -> Narrowed:
    if rights.nbf is not None and nbf <= rights.nbf:
        return rights, None
    left = replace(rights, nbf=nbf)
    return left, _never(left)


def _never(rights: Rights) -> Remark | None:
    """Return a remark on a validity that ends before it begins."""
    if rights.nbf is None or rights.exp is None or rights.nbf < rights.exp:
        return None
    slip = ": it looks like milliseconds, write seconds" if rights.nbf >= _MILLISECONDS else ""
    return Remark(f"nbf {rights.nbf} is not before exp {rights.exp}, so the token is never valid{slip}")


def _to_method(rights: Rights, caveat: Method) -> Narrowed:
    asked, had = several(caveat.htm), rights.htm
    left = tuple(one for one in (asked if had is None else had) if one in asked and one == one.upper())
    if left or had == ():
        return replace(rights, htm=left), None
    if had is None or not any(one == one.upper() for one in asked):
        text = f"htm {quoted(caveat.htm)} matches no request: write methods in capital letters, such as GET"
    else:
        text = f"htm {quoted(caveat.htm)} is none of {_named(had)}, which an earlier caveat allows"
    return replace(rights, htm=left), Remark(text)


def _to_target(rights: Rights, caveat: TargetUri) -> Narrowed:
    if rights.htu is not None and parse_target(rights.htu) != parse_target(caveat.htu):
        return rights, Remark(
            f"htu {quoted(caveat.htu)} is another target than {quoted(rights.htu)}: no request goes to both"
        )
    left = replace(rights, htu=rights.htu or caveat.htu)
    return left, _outside(left)


def _to_path(rights: Rights, caveat: PathPrefix) -> Narrowed:
    wider = rights.path is not None and _is_within(rights.path, caveat.path)
    if rights.path is not None and not wider and not _is_within(caveat.path, rights.path):
        return rights, Remark(
            f"path {quoted(caveat.path)} is not within {quoted(rights.path)}: no request is below both"
        )
    left = rights if wider else replace(rights, path=caveat.path)
    return left, None if left is rights else _outside(left)


def _outside(rights: Rights) -> Remark | None:
    """Return a remark on a target that is not below the path."""
    if rights.htu is None or rights.path is None or _is_within(parse_target(rights.htu).path, rights.path):
        return None
    return Remark(f"htu {quoted(rights.htu)} is not below path {quoted(rights.path)}: no request is both")


def _is_within(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")


def _to_networks(rights: Rights, caveat: ClientAddress) -> Narrowed:
    asked, had = several(caveat.ip), rights.ip
    if all(_contains(_MAPPED, network_named(network)) for network in asked):
        return replace(rights, ip=()), Remark(
            f"ip {quoted(caveat.ip)} matches no client: write IPv4 networks as IPv4, such as 192.0.2.0/24"
        )
    if not had or len(asked) * len(had) > _MOST_PAIRS:
        return replace(rights, ip=asked if had is None else had), None
    networks = [(text, network_named(text)) for text in asked]
    left = tuple(
        text if _contains(outer, inner) else one
        for one, outer in ((one, network_named(one)) for one in had)
        for text, inner in networks
        if _contains(outer, inner) or _contains(inner, outer)
    )
    if left:
        return replace(rights, ip=left), None
    return replace(rights, ip=()), Remark(
        f"ip {quoted(caveat.ip)} is outside of {_named(had)}, which an earlier caveat allows"
    )


def _contains(outer: IPv4Network | IPv6Network, inner: IPv4Network | IPv6Network) -> bool:
    return (
        outer.version == inner.version
        and outer.prefixlen <= inner.prefixlen
        and inner.network_address in outer
    )


def _to_confirmation(rights: Rights, caveat: Confirmation | KeyConfirmation) -> Narrowed:
    if isinstance(caveat, KeyConfirmation):
        left = replace(rights, jkt=rights.jkt or caveat.cnf.jkt)
        return left, _other("key", caveat.cnf.jkt, left.jkt)
    left = replace(rights, cnf=rights.cnf or caveat.cnf.thumbprint)
    return left, _other("certificate", caveat.cnf.thumbprint, left.cnf)


def _other(kind: str, thumbprint: str, bound_to: str | None) -> Remark | None:
    if thumbprint == bound_to:
        return None
    return Remark(
        f"cnf {thumbprint} is another {kind} than {bound_to}, to which the token is bound: "
        "get a token that is not bound yet"
    )


def _named(values: tuple[str, ...]) -> str:
    return quoted(values[0] if len(values) == 1 else values)
