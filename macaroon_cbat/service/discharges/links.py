"""The links of one approval: to the page for the person, and to the place where the client waits.

Nothing is stored for them before a person decides: a link carries its content and a MAC. The link to the page
does not give the secret away by which the client waits and redeems the approval.
"""

import hmac
import os

import msgspec
from msgspec import Struct

from macaroon_cbat.errors.discharges import InvalidLink
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.discharges.keys import DischargeKeys
from macaroon_cbat.text.base64url import NotBase64url, decode, encode
from macaroon_cbat.text.json_text import UnusableJson, read_json_text

LIFETIME = 300
"""Seconds for which a person may decide, and a client may redeem the decision."""

_LONGEST = 6_000
_RANDOM_BYTES, _MAC_BYTES = 16, 32


class Asked(Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a link: the caveat by its digest, the person, the transaction, the end of the link.

    `number` is random, and names this one approval.
    """

    number: str
    digest: str
    subject: str
    text: str
    expires_at: int


class Links(Struct, frozen=True):
    """The links of one service."""

    keys: DischargeKeys

    def ask(self, digest: str, subject: str, text: str, now: EpochSeconds) -> tuple[str, str]:
        """Return the text of a new link for the person, and the client's secret of it."""
        key = self.keys.current().for_links
        number = encode(os.urandom(_RANDOM_BYTES))
        content = msgspec.json.encode(Asked(number, digest, subject, text, now + LIFETIME))
        return encode(_mac(key, b"page", content) + content), _secret(key, number, now + LIFETIME)

    def read(self, link: str, now: EpochSeconds) -> tuple[Asked, str]:
        """Return the content of a live link for a person, and the client's secret. Raises InvalidLink."""
        try:
            data = decode(link if len(link) <= _LONGEST else "")
        except NotBase64url as error:
            raise InvalidLink("the link is damaged") from error
        mac, content = data[:_MAC_BYTES], data[_MAC_BYTES:]
        for pair in self.keys.all():
            if hmac.compare_digest(mac, _mac(pair.for_links, b"page", content)):
                asked = _content(content)
                if asked.expires_at <= now:
                    raise InvalidLink("the link has expired")
                return asked, _secret(pair.for_links, asked.number, asked.expires_at)
        raise InvalidLink("the link was not made by this service, or is cut short")

    def check(self, secret: str, now: EpochSeconds) -> None:
        """Raise InvalidLink unless this is the secret of a client whose link is live."""
        number, _, rest = secret.partition(".")
        end = rest.partition(".")[0]
        if not (end.isascii() and end.isdecimal() and len(end) < 16 and int(end) > now):
            raise InvalidLink("the wait is over, or was never begun here")
        known = (_secret(pair.for_links, number, int(end)) for pair in self.keys.all())
        if not any(hmac.compare_digest(secret.encode(), one.encode()) for one in known):
            raise InvalidLink("the wait was never begun here")


def _content(content: bytes) -> Asked:
    try:
        return read_json_text(content, Asked)
    except UnusableJson as error:
        raise InvalidLink("the link has other content") from error


def _secret(key: bytes, number: str, expires_at: int) -> str:
    end = str(expires_at)
    return f"{number}.{end}.{encode(_mac(key, b'wait', f'{number}.{end}'.encode()))}"


def _mac(key: bytes, use: bytes, content: bytes) -> bytes:
    return hmac.digest(key, use + b"\0" + content, "sha256")
