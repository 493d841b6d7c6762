"""The files of a running service, read again on demand: trusted CAs, the proxy's secret, the audit log."""

from collections.abc import Iterable
from typing import Any

from flask import Flask

from macaroon_cbat.files.watching import Followed
from macaroon_cbat.forwarded import Forwarded
from macaroon_cbat.journal.file import reopen_journal
from macaroon_cbat.peer import PeerSource
from macaroon_cbat.service.client_certificates import ClientTrust
from macaroon_cbat.service.proxy_secret import ProxiesWithSecretFile

_FOLLOWED = "macaroon_cbat.followed"


def follow_files(app: Flask, trust: ClientTrust, peer: PeerSource) -> None:
    """Let `read_again` find what the application follows."""
    proxies = peer.trust if isinstance(peer, Forwarded) else None
    candidates = (trust.followed, proxies.followed if isinstance(proxies, ProxiesWithSecretFile) else None)
    app.extensions[_FOLLOWED] = [one for one in candidates if one is not None]


def read_again(app: Flask) -> None:
    """Read the files that `create_app` read, changed or not, and open the audit log anew.

    Call it after SIGHUP, in each process, and not in the signal handler itself. The files are followed
    without it too. What is no good changes nothing, and the log says so.
    """
    reopen_journal()
    followed: Iterable[Followed[Any]] = app.extensions[_FOLLOWED]
    for one in followed:
        one.look(anyway=True)
