"""The proving of one request, for every HTTP library: token, key and terms make a child and its proof."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Unpack
from urllib.parse import urlsplit

from macaroon_cbat.client.children import ChildSettings, ChildTerms, LastParent, proved_child
from macaroon_cbat.client.discharges import DischargeClient
from macaroon_cbat.client.dpop_key import ProofKey
from macaroon_cbat.client.holder import (
    RenewableSource,
    TokenSource,
    discharge_headers,
    is_rejected,
    require_https,
    token_of,
    unusable_token,
)
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.claims import EpochSeconds

PLACEHOLDER = "DPoP made-when-sent"
"""The value of Authorization until the request is sent, which gives nothing away where it is shown."""

_NONCE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,500}\Z")
_WANTS_NONCE = re.compile(r'\berror="?use_dpop_nonce\b')
_MOST_ORIGINS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Proved:
    """A child and the proof of one request, which is good for one sending."""

    child: str = field(repr=False)
    proof: str = field(repr=False)
    token: str = field(repr=False)
    method: str
    uri: str
    has_new_nonce: bool = False
    has_new_token: bool = False
    discharges: tuple[str, ...] = field(default=(), repr=False)
    """The discharges that the token needs, not bound yet."""

    @property
    def headers(self) -> dict[str, str]:
        """The header fields to send (RFC 9449 7.1), each discharge bound to this very child."""
        fields = {"Authorization": f"DPoP {self.child}", "DPoP": self.proof}
        return fields | discharge_headers(self.child, self.discharges)


class DpopHolder:
    """A source of tokens, the key they are bound to, and the terms of their children. Thread-safe."""

    def __init__(
        self,
        source: TokenSource,
        key: ProofKey,
        discharges: DischargeClient | None = None,
        **settings: Unpack[ChildSettings],
    ) -> None:
        """Prove by this key; nothing is fetched yet."""
        self._source, self._key, self._discharges = source, key, discharges
        self._terms = ChildTerms(**settings)
        self._parents = LastParent()
        self._nonces: dict[str, str] = {}

    def prove(self, method: str, uri: str) -> Proved:
        """Return a child of the token and its proof for one request, made now.

        Raises SettingsError for a URL other than https and for a token that is bound to another key or to a
        certificate, and what the source raises.
        """
        require_https(uri)
        token = token_of(self._source)
        # First, since a person may have to decide: child and proof are good for a minute.
        discharges = () if self._discharges is None else self._discharges.collect(token)
        now = EpochSeconds(int(time.time()))
        with unusable_token():
            parent = self._parents.of(token)
            child = proved_child(parent, self._key.thumbprint, self._terms, method, uri, now=now)
        proof = self._key.proof(method, uri, token=child, nonce=self._nonces.get(_origin(uri)))
        return Proved(child, proof, token, method, uri, discharges=discharges)

    def again(
        self, sent: Proved, status: int, fields: Mapping[str, str], *, is_replayable: bool
    ) -> Proved | None:
        """Return what to send in place of a request that was refused, or None to take the answer.

        `status` and the header `fields`, found in any letter case, are of the answer; its DPoP-Nonce is
        remembered for the origin. A request whose body `is_replayable` is proved anew once for a new nonce,
        and once with another token of a renewable source.
        """
        challenge, nonce = fields.get("WWW-Authenticate"), fields.get("DPoP-Nonce")
        self.remember(sent.uri, nonce)
        if not is_replayable:
            return None
        wants_nonce = challenge is not None and status == 401 and _WANTS_NONCE.search(challenge) is not None
        if wants_nonce and nonce is not None and not sent.has_new_nonce:
            anew = self.prove(sent.method, sent.uri)
            return replace(anew, has_new_nonce=True, has_new_token=sent.has_new_token)
        if sent.has_new_token or not is_rejected(status, challenge):
            return None
        if self._discharges is not None and not self._discharges.discard(sent.token):
            return None
        if isinstance(self._source, str):
            return None
        if isinstance(self._source, RenewableSource):
            self._source.discard(sent.token)
        anew = self.prove(sent.method, sent.uri)
        if anew.token == sent.token:
            return None
        return replace(anew, has_new_nonce=sent.has_new_nonce, has_new_token=True)

    def remember(self, uri: str, nonce: str | None) -> None:
        """Use this nonce for requests to the origin of `uri` from now on (RFC 9449 8.2, 9)."""
        if nonce is None or not _NONCE.match(nonce):
            return
        if len(self._nonces) >= _MOST_ORIGINS:
            self._nonces = {}
        self._nonces[_origin(uri)] = nonce


def outside_session() -> SettingsError:
    """Return the error of a DpopAuth whose request would be sent without a proof."""
    return SettingsError("a DpopAuth works only in a session that dpop_session made: send the request in one")


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"
