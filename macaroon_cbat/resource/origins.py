"""The origin of a resource server, with which `htu` and `path` caveats are compared."""

from urllib.parse import urlsplit

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.target import parse_target


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
