"""The rule of a guard that denies by default, and the paths that it leaves open.

A request that is neither for a public path nor for a view under `require(...)` is refused: 401 without a
valid token, 403 with one. A forgotten `require` opens nothing, not even to tokens of little scope.
"""

import logging
from collections.abc import Collection
from operator import attrgetter
from typing import Any

from msgspec import Struct

from macaroon_cbat.certificate.source import NO_CERTIFICATE, PresentedCertificate
from macaroon_cbat.errors import InsufficientScope, RefusedGrant, SettingsError, Unguarded
from macaroon_cbat.macaroon.target import is_plain_path
from macaroon_cbat.macaroon.verification import Principal, require_scope
from macaroon_cbat.resource.admission import Admission
from macaroon_cbat.resource.overrides import why_path_is_unknown
from macaroon_cbat.resource.request import PresentedRequest

log = logging.getLogger("macaroon_cbat.resource")

DEFAULTS = ("allow", "deny")
_BELOW = "/*"
_facts_of = attrgetter(
    "authorization", "credentials", "method", "path", "why_no_path", "overrides", "address"
)


class PublicPaths(Struct, frozen=True):
    """The paths that need no token: whole ones, and prefixes that end in a slash."""

    whole: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()

    def has(self, path: str) -> bool:
        """Return True for a public path: the same letter by letter, or plainly below a prefix.

        Below a prefix no path is public from which an application could read another one: `..`, `//`, a
        backslash, anything that is still percent-encoded.
        """
        return path in self.whole or (path.startswith(self.prefixes) and is_plain_path(path))


class DefaultDeny(Struct, frozen=True):
    """The rule of one guard."""

    admission: Admission
    public: PublicPaths

    def is_open(self, request: PresentedRequest) -> bool:
        """Return True if the path is public and no header names another one (`paths`, `overrides`)."""
        root_path, path = self.admission.root_path, request.path
        if path is None or why_path_is_unknown(request.overrides, path, root_path) is not None:
            return False
        return self.public.has(path.removeprefix(root_path) or "/")

    def unguarded(self, request: PresentedRequest, principal: Principal | None) -> Unguarded:
        """Return the refusal of a request that no `require(...)` guards, audited and counted."""
        error = Unguarded(
            f"{request.method} {request.path!r} is neither under require(...) nor public: put its view under "
            "require(...), an endpoint of Starlette's under guard.endpoint(...), or name the path in the "
            "guard's public"
        )
        presented = NO_CERTIFICATE
        if principal is not None:
            presented = _certificate_of(principal)
            error.grant = RefusedGrant(principal.client_id, principal.token_id)
        self.admission.write_or_log_refusal(error, request, presented)
        return error


class Admitted:
    """A request that a guard has admitted before any view ran.

    It is kept with the request. So it holds no connection, which knows the request: such a circle is freed
    by the garbage collector alone, at a third of the cost of a request.
    """

    __slots__ = ("_admission", "_facts", "principal")

    def __init__(self, admission: Admission, request: PresentedRequest, principal: Principal) -> None:
        """Keep what the rules judged."""
        self._admission, self._facts, self.principal = admission, _facts_of(request), principal

    def is_of(self, admission: Admission, request: PresentedRequest) -> bool:
        """Return True if these rules judged this request as it still is: a middleware may have changed it."""
        return self._admission is admission and self._facts == _facts_of(request)


def admitted_before(
    before: object, admission: Admission, request: PresentedRequest, scope: str
) -> Principal | None:
    """Return the principal of a request that was admitted before, or None if it is still to be judged.

    Raises InsufficientScope, audited and counted, if the principal lacks one of these scopes.
    """
    if not (isinstance(before, Admitted) and before.is_of(admission, request)):
        return None
    try:
        require_scope(before.principal, scope)
    except InsufficientScope as error:
        admission.write_or_log_refusal(error, request, _certificate_of(before.principal))
        raise
    return before.principal


def default_deny(settings: Any, admission: Admission, document: str, before: str = "") -> DefaultDeny | None:
    """Return the rule that the settings ask for, and log what is open; None for default="allow".

    `document` is the path of the metadata document. `before` says what runs before the guard, if anything.
    """
    if settings.get("default", "allow") == "allow":
        return None
    return _logged(settings, admission, document, f"all else is denied unless under require(...){before}")


def always_deny(settings: Any, admission: Admission, document: str) -> DefaultDeny:
    """Return the rule of a guard around a whole application, and log what is open if the settings say it."""
    if settings.keys().isdisjoint(("default", "public")):
        return DefaultDeny(admission, PublicPaths())
    return _logged(settings, admission, document, "all else needs a token")


def check_default(settings: Any, *, is_around: bool = False) -> None:
    """Raise SettingsError for an unusable `default` or `public`; `is_around`: the guard always denies."""
    default = settings.get("default", "deny" if is_around else "allow")
    if default not in DEFAULTS:
        raise SettingsError(f"default is {default!r}: write 'deny' or 'allow'")
    if is_around and default == "allow":
        raise SettingsError(
            "default='allow' is not for a guard around a whole application: leave it out, and name in public "
            "what needs no token"
        )
    public = read_public(settings.get("public", ()))
    if default == "allow" and public != PublicPaths():
        raise SettingsError("public is set, but nothing is denied: add default='deny', or leave public out")


def read_public(paths: Collection[str]) -> PublicPaths:
    """Return the public paths of the setting, or raise SettingsError that says what is wrong with one."""
    if isinstance(paths, str | bytes) or not isinstance(paths, Collection):
        raise SettingsError(f'public is {paths!r}: write a list of paths, such as ["/health"]')
    whole, prefixes = set(), []
    for path in paths:
        if not isinstance(path, str):
            raise SettingsError(f"public path {path!r} is not text: write a path, such as /health")
        prefix = path.removesuffix("*") if path.endswith(_BELOW) else None
        _check_path(path, path if prefix is None else prefix)
        if prefix is None:
            whole.add(path)
        else:
            prefixes.append(prefix)
    return PublicPaths(frozenset(whole), tuple(prefixes))


def _check_path(path: str, plain: str) -> None:
    if plain == "/" and path != plain:
        raise SettingsError("public path /* opens everything: leave the guard out, or write default='allow'")
    if not is_plain_path(plain) or not plain.isprintable() or any(one in plain for one in "*?#"):
        raise SettingsError(
            f"public path {path!r} is not a plain path: write it percent-decoded and without a query, such "
            "as /health, or /static/* for everything below /static/"
        )


def _logged(settings: Any, admission: Admission, document: str, rest: str) -> DefaultDeny:
    public = settings.get("public", ())
    log.info("open without a token: %s; %s", ", ".join([*sorted(set(public)), document]), rest)
    return DefaultDeny(admission, read_public(public))


def _certificate_of(principal: Principal) -> PresentedCertificate:
    return PresentedCertificate(thumbprint=principal.certificate)
