"""The framing that a question may have: HTTP/1.0 or 1.1, one Host, no body and so no trailers."""

Field = tuple[bytes, bytes]

_HOST, _LENGTH, _CODING = b"host", b"content-length", b"transfer-encoding"


class Misframed(Exception):
    """The head of a request says that a body follows, or is not HTTP/1.0 or 1.1; its connection must end."""


def check_framing(version: str, fields: list[Field]) -> None:
    """Raise Misframed for a head that no proxy sends with a question.

    A body could hold another request, and a chunked one trailers, which are the client's word and not the
    proxy's: proxies pass both on. A Content-Length of 0, as Envoy sends it, says that there is no body.
    """
    hosts = 0
    for name, value in fields:
        lowered = name.lower()
        if lowered == _HOST:
            hosts += 1
        elif lowered == _CODING or (lowered == _LENGTH and value != b"0"):
            raise Misframed
    if version == "1.1":
        if hosts != 1:
            raise Misframed
    elif version != "1.0" or hosts > 1:
        raise Misframed
