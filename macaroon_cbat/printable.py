"""Text of others as one line that can be shown: in a log, on a terminal."""

MAX_SHOWN = 4000
"""Characters of one line; the rest is cut off."""


def printable(text: str) -> str:
    """Return the text with what does not print escaped: line ends of every kind, controls, bidi marks.

    What prints stays as it is, so one request is one line, and a terminal shows it and does nothing else.
    """
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "\u2026"
