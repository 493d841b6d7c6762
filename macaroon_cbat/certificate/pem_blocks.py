"""The PEM blocks of a file (RFC 7468), read strictly: no block is ever skipped for its spelling.

OpenSSL takes text, headers and blocks that it cannot read for comments and goes on to the next block, so
that of a leaf and its issuer the issuer is left. Here each line that resembles a boundary has to be one.
"""

import binascii
import re

from msgspec import Struct

_BOUNDARY = re.compile(rb"-----(BEGIN|END) ([A-Z0-9#.]+(?: [A-Z0-9#.]+)*)-----[ \t\r]*\Z")
_RESEMBLES_A_BOUNDARY = re.compile(
    rb"-[ \t]*(?:BEGIN|END)\b|\b(?:BEGIN|END)[ \t_]*(?:X509 |TRUSTED )?CERTIFICATE[ \t]*[^\w\s]",
    re.IGNORECASE,
)
_RESEMBLES_A_CERTIFICATE = re.compile(rb"[^\w]*MI[A-Za-z0-9+/]{38,}")
_AT_THE_END = b" \t\r"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class PemBlock(Struct, frozen=True):
    """The undecoded lines between two boundaries, and the number of the line where they begin."""

    label: str
    lines: tuple[bytes, ...]
    first_line: int

    def __repr__(self) -> str:
        """Show the label; the rest may be a private key."""
        return f"<PemBlock {self.label}>"


def pem_blocks(content: bytes) -> list[PemBlock]:
    """Return every block of the file, in its order. Raises ValueError that begins with `line N`."""
    blocks: list[PemBlock] = []
    label, first_line, lines = "", 0, list[bytes]()
    for number, line in enumerate(content.removeprefix(_BYTE_ORDER_MARK).split(b"\n"), 1):
        boundary = _boundary(line, number)
        if boundary is None:
            if not label and _RESEMBLES_A_CERTIFICATE.match(line):
                raise ValueError(f"line {number} resembles a certificate outside of a block")
            lines.append(line.rstrip(_AT_THE_END))
        elif boundary[0] == "BEGIN":
            if label:
                raise ValueError(f"line {number} begins a block within that of line {first_line}")
            label, first_line, lines = boundary[1], number, []
        elif boundary[1] != label:
            raise ValueError(f"line {number} ends a block {boundary[1]} that did not begin")
        else:
            blocks.append(PemBlock(label, tuple(lines), first_line))
            label = ""
    if label:
        raise ValueError(f"line {first_line} begins a block {label} that does not end")
    return blocks


def decoded(block: PemBlock) -> bytes:
    """Return the bytes of a block without headers. Raises ValueError that begins with `line N`."""
    if not all(block.lines):
        raise ValueError(f"line {block.first_line} begins a block with an empty line")
    try:
        return binascii.a2b_base64(b"".join(block.lines), strict_mode=True)
    except binascii.Error as error:
        raise ValueError(f"line {block.first_line} begins a block that is not base64 alone") from error


def _boundary(line: bytes, number: int) -> tuple[str, str] | None:
    """Return side and label of a boundary, None for another line. Raises ValueError for a misspelled one."""
    if found := _BOUNDARY.match(line):
        return found[1].decode(), found[2].decode()
    if _RESEMBLES_A_BOUNDARY.search(line):
        raise ValueError(f"line {number} resembles a boundary of PEM, but is spelled otherwise")
    return None
