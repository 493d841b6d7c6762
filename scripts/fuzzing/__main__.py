"""Fuzz every certificate format: `tests.support.certificate_laws` must hold for every input.

An input decides the format and how its values are made: as the product writes them of some certificate or
of bytes that are none, edited, joined, of the pairs of XFCC, or noise. Any other exception than ours, and
any law that does not hold, is a finding, and ends the run with a file that repeats it.
"""

import sys
from collections.abc import Sequence
from typing import Any

import atheris

with atheris.instrument_imports(include=["macaroon_cbat"]):
    from macaroon_cbat.certificate.formats import FORMATS

from tests.support.certificate_laws import judge
from tests.support.certificate_spellings import NONE, SPELLINGS, escaped_pem, hex_hash, make_certificate

NAMES = sorted(FORMATS)
HOLDER, OTHER = make_certificate("holder"), make_certificate("other")
NOTHING = b""
WRITTEN = {name: [SPELLINGS[name](der) for der in (HOLDER, OTHER, NOTHING)] for name in NAMES}
PAIRS = [
    *(f"Hash={hex_hash(der)}" for der in (HOLDER, OTHER, NOTHING)),
    *(f'Cert="{escaped_pem(der)}"' for der in (HOLDER, OTHER)),
    "By=a",
    "URI=b",
    "DNS=c",
    'Subject="CN=a,b;Hash=c"',
    'Subject="\\""',
]
WORDS = [
    *("%0A", "%2B", "%3D", "%20", "none", "(null)", "::", ",", ";", '"', "\\", " ", "+", "/", "=", "\0"),
    *("NONE", "SUCCESS", "FAILED:x", "true", "false", "1", "0"),
    *PAIRS,
    *(value for values in NONE.values() for value in values if value),
]


def pick(data: atheris.FuzzedDataProvider, choices: Sequence[Any]) -> Any:
    """Return one of these, as the input decides."""
    return choices[data.ConsumeIntInRange(0, len(choices) - 1)]


def edited(data: atheris.FuzzedDataProvider, text: str) -> str:
    """Return the text after a few edits that the input decides."""
    for _ in range(data.ConsumeIntInRange(0, 4)):
        start = data.ConsumeIntInRange(0, len(text))
        end = min(len(text), start + data.ConsumeIntInRange(0, 8)) if data.ConsumeBool() else len(text)
        piece = text[start:end]
        new = (piece * 2, piece.swapcase(), "", pick(data, WORDS), data.ConsumeUnicode(8))
        text = text[:start] + pick(data, new) + text[end:]
    return text


def any_sequence(data: atheris.FuzzedDataProvider) -> bytes:
    """Return a SEQUENCE whose length is written in some way, seldom the right one."""
    content = data.ConsumeBytes(data.ConsumeIntInRange(0, 300))
    octets = data.ConsumeIntInRange(0, 4)
    length = len(content) + pick(data, (0, 0, 0, 1, -1))
    if octets == 0 or length < 0:
        return bytes([0x30, length & 0x7F]) + content
    return bytes([0x30, 0x80 | octets]) + (length % 256**octets).to_bytes(octets, "big") + content


def value_of(data: atheris.FuzzedDataProvider, name: str) -> str:
    """Return a value for the first header: spelled right, edited, joined, of pairs, or noise."""
    kind = data.ConsumeIntInRange(0, 5)
    if kind == 0:
        return edited(data, pick(data, WRITTEN[name])[0])
    if kind == 1:
        return SPELLINGS[name](any_sequence(data))[0]
    if kind == 2:
        joint = pick(data, (",", ", ", ";", " ", "", "\n", "%0A"))
        return joint.join(
            edited(data, pick(data, WRITTEN[name])[0]) for _ in range(data.ConsumeIntInRange(1, 3))
        )
    if kind == 3:
        return "".join(
            pick(data, PAIRS) + pick(data, (";", ",", "", "; ")) for _ in range(data.ConsumeIntInRange(1, 6))
        )[:-1]
    if kind == 4:
        return edited(data, pick(data, WRITTEN[pick(data, NAMES)])[0])
    return data.ConsumeUnicode(6000) if data.ConsumeBool() else data.ConsumeBytes(6000).decode("latin-1")


def one_input(content: bytes) -> None:
    """Make the values of one format's headers, and judge what becomes of them."""
    data = atheris.FuzzedDataProvider(content)
    name = pick(data, NAMES)
    values: list[str | None] = [None if data.ConsumeIntInRange(0, 15) == 0 else value_of(data, name)]
    said = WRITTEN[name][0][1:]
    values += [pick(data, (word, word, word, *WORDS, "", None, edited(data, word))) for word in said]
    judge(name, tuple(values))


def main() -> None:
    """Fuzz until the time is over."""
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
