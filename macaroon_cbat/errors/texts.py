"""The two texts of an error: the whole reason for the log, and the description for the client."""

from typing import ClassVar

MAX_DESCRIPTION = 400
"""Characters of an `error_description`, which travels in a header; the rest is cut off."""


def escaped(text: str) -> str:
    """Return the text with every character that does not print escaped: controls, line ends, bidi marks."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class MacaroonError(Exception):
    """An error that this package raises on purpose."""

    def __str__(self) -> str:
        """Return the whole reason on one line: text of an attacker in it cannot forge another line."""
        return escaped(super().__str__())


class Answered(MacaroonError):
    """An error that leaves as an HTTP answer."""

    fixed_description: ClassVar[str | None] = None
    told: str | None = None
    """The text for the client in its place: the failed caveats, or in development the whole reason."""

    @property
    def description(self) -> str:
        """The `error_description` for the client."""
        return one_description(self.told or self.fixed_description or str(self))


def one_description(text: str) -> str:
    """Return the text in visible ASCII and spaces, without `"` and backslash (RFC 6749 5.2, RFC 6750 3)."""
    if len(text) > MAX_DESCRIPTION:
        text = text[: MAX_DESCRIPTION - 3] + "..."
    text = text.replace('"', "'").replace("\\", "/")
    return "".join(c if " " <= c <= "~" else "?" for c in text)
