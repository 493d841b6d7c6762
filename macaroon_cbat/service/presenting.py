"""Over which client certificate a request came: asked once a request, whoever wants to know."""

import logging

from flask import request

from macaroon_cbat.errors import ServerMisconfigured
from macaroon_cbat.peer import Hop, Peer, PeerSource, intermediates_of
from macaroon_cbat.service.metrics import count_ignored
from macaroon_cbat.thumbprint import DerCertificate

log = logging.getLogger("macaroon_cbat.service")

_PEER = "macaroon_cbat.peer"
"""Environment key of the peer: no header can write it, and it ends with the request."""


def refuse_hidden(peer: Peer) -> None:
    """Raise ServerMisconfigured where a certificate is needed and none can arrive, whatever comes."""
    if peer.hidden is not None:
        raise ServerMisconfigured(peer.hidden)


def once_a_request(source: PeerSource) -> PeerSource:
    """Return the source so that it answers once for the request at hand.

    A certificate header that it does not believe is logged and counted: a spoof, or a proxy that was not
    named.
    """
    return _OnceARequest(source)


class _OnceARequest:
    """The answer of a source, kept in the environment of a request."""

    def __init__(self, source: PeerSource) -> None:
        """Ask this source."""
        self._source = source

    def __call__(self, hop: Hop, /) -> Peer:
        """Return the peer, as the source first said."""
        environ = request.environ
        if _PEER not in environ:
            peer = environ[_PEER] = self._source(hop)
            if peer.ignored is not None:
                log.warning("a certificate header is ignored: %s", peer.ignored)
                count_ignored()
        known: Peer = environ[_PEER]
        return known

    def intermediates(self, hop: Hop, /) -> tuple[DerCertificate, ...]:
        """Return the certificates that came with the peer's own."""
        return intermediates_of(self._source, hop)
