"""Fuzz every certificate format: whatever comes, `tests.core.certificate_laws` must hold.

An input is read as the number of a format, how to make a value of the rest (as it is, or edits of a value
that the product would write), and the rest. Any other exception than ours, and any law that does not hold,
is a finding, and ends the run with a file that repeats it.
"""

import sys

import atheris

with atheris.instrument_imports(include=["macaroon_cbat"]):
    from macaroon_cbat.certificate_formats import FORMATS

from tests.core.certificate_laws import judge
from tests.core.spelling import NONE, SPELLINGS, make_certificate

NAMES = sorted(FORMATS)
HOLDER, OTHER = make_certificate("holder"), make_certificate("other")
FRAGMENTS = sorted(
    {"%0A", "%2B", "%3D", "%20", "Hash=", 'Cert="', "URI=", "none", "(null)", "::", ",", ";", '"', "\\", " "}
    | {value for name in NAMES for value in SPELLINGS[name](OTHER)}
    | {value for values in NONE.values() for value in values if value}
)


def edited(data: atheris.FuzzedDataProvider, text: str) -> str:
    """Return the text after a few edits that the input decides."""
    for _ in range(data.ConsumeIntInRange(0, 4)):
        start = data.ConsumeIntInRange(0, len(text))
        end = data.ConsumeIntInRange(start, len(text))
        kind = data.ConsumeIntInRange(0, 4)
        piece = text[start:end]
        new = (
            "",
            piece * 2,
            piece.swapcase(),
            FRAGMENTS[data.ConsumeIntInRange(0, len(FRAGMENTS) - 1)],
            data.ConsumeUnicode(8),
        )[kind]
        text = text[:start] + new + text[end:]
    return text


def one_input(content: bytes) -> None:
    """Make the values of one format's headers, and judge what becomes of them."""
    data = atheris.FuzzedDataProvider(content)
    name = NAMES[data.ConsumeIntInRange(0, len(NAMES) - 1)]
    written = list(SPELLINGS[name](HOLDER))
    values: list[str | None] = [edited(data, value) for value in written]
    if data.ConsumeBool():
        kept = values[1:]
        text = data.ConsumeUnicode(6000) if data.ConsumeBool() else data.ConsumeBytes(6000).decode("latin-1")
        values = [text, *kept]
    if data.ConsumeIntInRange(0, 15) == 0:
        values[data.ConsumeIntInRange(0, len(values) - 1)] = None
    judge(name, tuple(values))


def main() -> None:
    """Fuzz until the time is over."""
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
