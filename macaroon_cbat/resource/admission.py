"""The guard without a framework: one request in, its principal out. Every adapter calls this one."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from macaroon_cbat.bearer import read_bearer
from macaroon_cbat.caveats import Access
from macaroon_cbat.claims import EpochSeconds
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.keys import AudienceKeys
from macaroon_cbat.request_target import Target, parse_target
from macaroon_cbat.resource.key_file import KeyFile
from macaroon_cbat.thumbprint import Thumbprint
from macaroon_cbat.verification import Principal, require_scope, verify


class TokenVerifier(Protocol):
    """Verifies the tokens of one audience."""

    @property
    def issuer(self) -> str:
        """The service whose tokens are accepted."""

    @property
    def audience(self) -> str:
        """The audience whose tokens are accepted."""

    def verify(self, text: str, access: Access, *, require_certificate: bool) -> Principal:
        """Return who presents the token, or raise InvalidToken, or Unavailable when nobody can tell."""


class OfflineVerifier:
    """Verifies with the audience's keys, without a call. It does not see revocations before expiry."""

    def __init__(self, keys: KeyFile | AudienceKeys) -> None:
        """Verify with these keys."""
        self._keys = keys
        self.audience = keys.audience

    @property
    def issuer(self) -> str:
        """The service that minted for the keys, as the key file says now."""
        return self._keys.issuer

    def verify(self, text: str, access: Access, *, require_certificate: bool) -> Principal:
        """Return who presents the token, or raise InvalidToken."""
        return verify(text, self._keys, access, require_certificate=require_certificate)


class PresentedRequest(Struct, frozen=True, kw_only=True):
    """What an adapter reads of a request; `path` is percent-decoded, as the application routes it.

    A path that is not UTF-8 is None: frameworks read something else into it than what came.
    """

    now: EpochSeconds
    authorization: str | None
    certificate: Thumbprint | None
    method: str
    path: str | None
    address: str | None


class Admission(Struct, frozen=True, kw_only=True):
    """The rules of one resource server. `origin`, for `htu` and `path` caveats, never comes from Host."""

    verifier: TokenVerifier
    require_certificate: bool = True
    origin: str | None = None

    def admit(self, request: PresentedRequest, scope: str = "") -> Principal:
        """Return the principal of a request that may pass; any OAuthError or Unavailable refuses it."""
        text = read_bearer(request.authorization)
        access = Access(
            now=request.now,
            audience=self.verifier.audience,
            certificate=request.certificate,
            method=request.method,
            target=_target(self.origin, request.path),
            address=request.address,
        )
        principal = self.verifier.verify(text, access, require_certificate=self.require_certificate)
        require_scope(principal, scope)
        return principal


def _target(origin: str | None, path: str | None) -> Target | None:
    return None if origin is None or path is None else Target(origin, path)


def offline_or(
    keys: KeyFile | AudienceKeys | Path | str | None, verifier: TokenVerifier | None
) -> TokenVerifier:
    """Return the verifier that the deployer chose: keys, or another verifier, never both or neither."""
    if (keys is None) == (verifier is None):
        raise SettingsError(
            "the guard needs keys (a key file) or a verifier such as Introspection, one of them"
        )
    if verifier is not None:
        return verifier
    assert keys is not None
    return OfflineVerifier(KeyFile(Path(keys)) if isinstance(keys, str | Path) else keys)


def origin_of(audience: str) -> str | None:
    """Return scheme, host and port of an audience that is a web URL, else None."""
    parts = urlsplit(audience)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    try:
        return parse_target(f"{parts.scheme}://{parts.netloc}/").origin
    except ValueError:
        return None


def checked_origin(origin: str) -> str:
    """Return an origin in its normal form, or raise SettingsError."""
    try:
        target = parse_target(origin.rstrip("/") + "/")
        if target.path == "/":
            return target.origin
    except ValueError:
        pass
    raise SettingsError(f"the origin must be https://HOST[:PORT], not {origin!r}")


Clock = Callable[[], float]
