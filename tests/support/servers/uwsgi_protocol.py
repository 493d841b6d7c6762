"""uWSGI's own protocol, in which a front server hands a request over as pairs of text."""

import struct
from collections.abc import Mapping

REQUEST = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/",
    "REQUEST_URI": "/?Clientcert",
    "QUERY_STRING": "Clientcert",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
    "HTTP_HOST": "localhost",
    "HTTP_CONNECTION": "close",
}


def packet(fields: Mapping[str, str]) -> bytes:
    """Return a request in this protocol."""
    texts = [text.encode() for pair in fields.items() for text in pair]
    body = b"".join(struct.pack("<H", len(text)) + text for text in texts)
    return struct.pack("<BHB", 0, len(body), 0) + body
