"""The heads of questions that came before: a proxy writes the same about a client, but for token and target.

Without these two, the text of a question is looked up. It was parsed before, and whatever stands in a field
makes no other fields of the rest. Kept is what a policy makes of the rest alone: that the sender is trusted,
and which certificate the client presented. Token and target are judged each time.
"""

from msgspec import Struct

from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.certificate.source import CertificateSource, PresentedCertificate
from macaroon_cbat.gateway.question import TARGET, Facts, HttpQuestion
from macaroon_cbat.text.generations import Generations

MOST_HEADS = 512
"""Heads of a generation, of which there are two."""

LONGEST_HEAD = 4_096
"""Bytes of the longest head that is kept: so the memory is bounded, by some 10 MB."""

_START, _END = f"GET {TARGET} HTTP/1.1\r\n".encode(), b"\r\n\r\n"
_TOKEN, _URI = b"\r\nAuthorization: Bearer ", b"\r\nX-Forwarded-Uri: "
"""The two fields as nginx, Caddy and Traefik write them, in this order."""
_TOKEN_AT, _URI_AT = len(_TOKEN) - len(b"Bearer "), len(_URI)

_Parts = tuple[tuple[str | None, bytes, bytes, bytes], str, str]


class Head(Struct, frozen=True):
    """The same in each question of a trusted proxy about one client."""

    connection: RawConnection
    """The proxy's, without a field."""
    method: str
    address: str | None
    certificate: PresentedCertificate

    def presented(self, _source: CertificateSource, /) -> PresentedCertificate:
        """Return the client's certificate, which was found before."""
        return self.certificate


class KnownHeads:
    """The heads of one policy, each of which came with a question that was answered with 200."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        """Begin with none."""
        self._heads: Generations[tuple[str | None, bytes, bytes, bytes], Head] = Generations(MOST_HEADS)

    def __len__(self) -> int:
        """Return the number of heads."""
        return len(self._heads)

    def find(self, data: bytes, address: str | None) -> tuple[Head, Facts] | None:
        """Return the head of the question that these bytes from this address are, and its request."""
        parts = _parts(data, address)
        if parts is None or (head := self._heads.get(parts[0])) is None:
            return None
        return head, Facts(head.method, parts[2], parts[1], head.address)

    def add(self, data: bytes, question: HttpQuestion, facts: Facts, presented: PresentedCertificate) -> None:
        """Keep the head of a question that was parsed from these bytes, unless it is long or unusual.

        It is unusual with other credentials, or if the parser found other values in the two fields.
        """
        connection = question.connection
        parts = _parts(data, connection.address())
        if parts is None or facts.credentials or (facts.authorization, facts.uri) != parts[1:]:
            return
        is_one = data.startswith(_START) and data.find(_END) == len(data) - len(_END)
        if not is_one or sum(map(len, parts[0][1:])) > LONGEST_HEAD:
            return
        sender = RawConnection((), address=parts[0][0], is_unix_socket=connection.is_unix_socket())
        self._heads.put(parts[0], Head(sender, facts.method, facts.address, presented))


def _parts(data: bytes, address: str | None) -> _Parts | None:
    """Return the name of the head, the authorization and the target; None without the two in this order.

    The parser refuses most controls, and reads others: where one is in either, it is not known what it does.
    """
    token = data.find(_TOKEN)
    if token < 0:
        return None
    between = data.find(b"\r", token + 2)  # of one byte, which is fastest
    uri = data.find(_URI, between)
    if uri < 0:
        return None
    after = data.find(b"\r", uri + 2)
    authorization = data[token + _TOKEN_AT : between].decode("latin-1").strip(" \t")
    target = data[uri + _URI_AT : after].decode("latin-1").strip(" \t")
    if not (authorization.isprintable() and target.isprintable()):
        return None
    return (address, data[:token], data[between:uri], data[after:]), authorization, target
