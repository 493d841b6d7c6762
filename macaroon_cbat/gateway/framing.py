"""The framing of a question: HTTP/1.0 or 1.1, one Host, no body and so no trailers."""

from macaroon_cbat.certificate.source import RequestConnection
from macaroon_cbat.errors import AmbiguousHeader


class Misframed(Exception):
    """The head of a request says that a body follows, or is not HTTP/1.0 or 1.1; its connection must end."""


def check_framing(version: str, connection: RequestConnection) -> None:
    """Raise Misframed for a head that no proxy sends with a question.

    A body could hold another request, and a chunked one trailers. Proxies forward both, and a client wrote
    them. A Content-Length of 0, which Envoy sends, means that there is no body.
    """
    try:
        host, length = connection.header("Host"), connection.header("Content-Length")
        is_coded = connection.header("Transfer-Encoding") is not None
    except AmbiguousHeader as error:
        raise Misframed from error
    if is_coded or length not in {None, "0"}:
        raise Misframed
    if version != "1.0" and (version != "1.1" or host is None):
        raise Misframed
