"""The content of a macaroon, for people and scripts. Nothing here is verified: no key is needed for it.

Least of all `location`: the MAC does not cover it, so it stays a hint even where a signature holds.
"""

from base64 import urlsafe_b64encode

import msgspec

from macaroon_cbat.wire import Macaroon, ThirdPartyCaveat


def inspected(macaroon: Macaroon) -> dict[str, object]:
    """Return what a macaroon says, as JSON members in PingAM's shape."""
    return {
        "identifier": _text(macaroon.identifier),
        "location": _text(macaroon.location or b""),
        "caveats": [_inspected_caveat(caveat) for caveat in macaroon.caveats],
        "signature": urlsafe_b64encode(macaroon.signature).rstrip(b"=").decode(),
    }


def _inspected_caveat(caveat: bytes | ThirdPartyCaveat) -> dict[str, object]:
    if isinstance(caveat, ThirdPartyCaveat):
        return {
            "type": "third-party",
            "identifier": _text(caveat.identifier),
            "location": _text(caveat.location or b""),
        }
    return {"type": "first-party", "identifier": _members(caveat) or _text(caveat)}


def _members(caveat: bytes) -> dict[str, object] | None:
    """Return the JSON object that a caveat is, unless that would hide something, such as a repeated key."""
    try:
        members = msgspec.json.decode(caveat)
        says_it_all = isinstance(members, dict) and msgspec.json.encode(members) == caveat
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return members if says_it_all else None


def _text(data: bytes) -> str:
    """Return the bytes as text, as base64url where they are none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return urlsafe_b64encode(data).rstrip(b"=").decode()
