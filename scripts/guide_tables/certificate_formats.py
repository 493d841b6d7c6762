"""The table of certificate formats; what says "no certificate" is found by asking each reader."""

from collections.abc import Iterator

from guide_tables.markdown import code, table
from guide_tables.words import first_paragraph
from macaroon_cbat.certificate.formats import FORMATS, CertificateFormat
from macaroon_cbat.certificate.source import NO_CERTIFICATE
from macaroon_cbat.errors import MacaroonError

_HASH_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_VALUES = (None, "", "::", "none", "(null)", _HASH_OF_NOTHING)
_COMPANIONS = ("NONE", "false", "0")


def certificate_formats() -> str:
    """Return every format: its headers, what its product writes, and what means "no certificate"."""
    head = ("format", "headers", "what is read", "no certificate")
    return table(head, (_row(each) for each in FORMATS.values()))


def _row(each: CertificateFormat) -> tuple[str, ...]:
    headers = " and ".join(code(name) for name in (each.header, *each.companions))
    none = ", or ".join(_none_with_companion(each) if each.companions else _none(each))
    words = first_paragraph(each.read.__doc__).removeprefix("Read ")
    return code(each.name), headers, words, none or "cannot be said"


def _none(each: CertificateFormat) -> Iterator[str]:
    """Yield the values that say "no certificate" in a format of one header."""
    for value in _VALUES:
        if _says_none(each, value):
            yield "no header" if value is None else code(value) if value else "an empty one"


def _none_with_companion(each: CertificateFormat) -> Iterator[str]:
    """Yield the values of the companion that say so, and what the header must be then."""
    for word in _COMPANIONS:
        if _says_none(each, None, word):
            yield code(word)
        elif _says_none(each, "", word):
            yield f"an empty one beside {code(word)}"


def _says_none(each: CertificateFormat, *values: str | None) -> bool:
    try:
        return each.read(*values) == NO_CERTIFICATE
    except MacaroonError:
        return False
