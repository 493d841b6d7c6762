"""Over which client certificate a request came: asked once a request, whoever wants to know."""

import logging

from flask import request

from macaroon_cbat.errors import ServerMisconfigured
from macaroon_cbat.peer import Hop, Peer, PeerSource
from macaroon_cbat.service.metrics import count_ignored

log = logging.getLogger("macaroon_cbat.service")

_PEER = "macaroon_cbat.peer"
"""Environment key of the peer: no header can write it, and it ends with the request."""


def refuse_hidden(peer: Peer) -> None:
    """Raise ServerMisconfigured where a certificate is needed and none can arrive, whatever comes."""
    if peer.hidden is not None:
        raise ServerMisconfigured(peer.hidden)


def once_a_request(source: PeerSource) -> PeerSource:
    """Return the source so that it answers once for the request at hand.

    A certificate header that it does not believe is logged and counted: a spoof, or a proxy that nobody
    named.
    """

    def ask(hop: Hop, /) -> Peer:
        environ = request.environ
        if _PEER not in environ:
            peer = environ[_PEER] = source(hop)
            if peer.ignored is not None:
                log.warning("a certificate header is ignored: %s", peer.ignored)
                count_ignored()
        known: Peer = environ[_PEER]
        return known

    return ask
