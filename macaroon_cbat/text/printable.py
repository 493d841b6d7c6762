"""Text of clients and files as one printable line, for a log or a terminal."""

from macaroon_cbat.errors.texts import escaped

MAX_SHOWN = 4000
"""Characters of one line; the rest is cut off."""
MAX_QUOTED = 100
"""Characters of one value in a reason; the rest is cut off."""


def printable(text: str) -> str:
    """Return the text as one line of MAX_SHOWN characters at most, with all that does not print escaped.

    So a client can neither forge a second line of a log nor send commands to a terminal.
    """
    text = escaped(text)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "\u2026"


def quoted(value: object) -> str:
    """Return the beginning of a value that a client wrote, in quotes and printable, for an error message."""
    shown = repr(value.decode(errors="backslashreplace") if isinstance(value, bytes) else value)
    return shown if len(shown) <= MAX_QUOTED else f"{shown[:MAX_QUOTED]}..."
