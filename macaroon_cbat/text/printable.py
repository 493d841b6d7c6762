"""Text of others as one line that can be shown: in a log, on a terminal."""

from macaroon_cbat.errors.texts import escaped

MAX_SHOWN = 4000
"""Characters of one line; the rest is cut off."""
MAX_QUOTED = 100
"""Characters of one value in a reason; the rest is cut off."""


def printable(text: str) -> str:
    """Return the text with what does not print escaped: line ends of every kind, controls, bidi marks.

    What prints stays as it is, so one request is one line, and a terminal shows it and does nothing else.
    """
    text = escaped(text)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "\u2026"


def quoted(value: object) -> str:
    """Return the beginning of what others wrote, in quotes and printable, for one reason among others."""
    shown = repr(value.decode(errors="backslashreplace") if isinstance(value, bytes) else value)
    return shown if len(shown) <= MAX_QUOTED else f"{shown[:MAX_QUOTED]}..."
