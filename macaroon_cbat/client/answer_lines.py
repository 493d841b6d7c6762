"""The lines of an answer that its server sends one after the other, for as long as a stream goes on."""

from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse

from macaroon_cbat.client.line import Line
from macaroon_cbat.client.sockets import Deadline

LINES = "application/x-ndjson"
"""The type of an answer in lines of JSON."""

_PIECE_BYTES = 1 << 16
_LONGEST_SECONDS = 600.0
"""The time after which a stream is left, as is one that has sent as many bytes as one line may have."""


def is_in_lines(response: HTTPResponse) -> bool:
    """Return True for a good answer in lines."""
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    return response.status == 200 and kind.strip().lower() == LINES


def lines_of(line: Line, response: HTTPResponse, seconds: float, limit: int) -> Iterator[bytes]:
    """Yield each line, which must come whole within these seconds and have at most `limit` bytes.

    Raises OSError or HTTPException for what ends otherwise than after a whole line, and at least one.
    """
    whole, rest, read = Deadline(_LONGEST_SECONDS, _LONGEST_SECONDS), b"", 0
    while whole.spent() < _LONGEST_SECONDS and read <= limit:
        line.deadline = Deadline(seconds, seconds)
        while b"\n" not in rest:
            piece = response.read1(_PIECE_BYTES)
            if not piece:
                if rest or not read:
                    raise HTTPException("the answer ended within a line")
                return
            read += len(piece)
            rest += piece
            if len(rest) > limit:
                raise HTTPException(f"a line has more than {limit} bytes")
        text, _, rest = rest.partition(b"\n")
        yield text
