"""What a macaroon says, for people and scripts. Nothing here is verified: no key is needed for it."""

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
    try:
        members = msgspec.json.decode(caveat)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        members = None
    return {"type": "first-party", "identifier": members if isinstance(members, dict) else _text(caveat)}


def _text(data: bytes) -> str:
    """Return the bytes as text, as base64url where they are none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return urlsafe_b64encode(data).rstrip(b"=").decode()
