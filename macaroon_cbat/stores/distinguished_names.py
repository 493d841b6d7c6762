"""Distinguished names: their text (RFC 4514), and the form in which they are compared (RFC 5280 7.1)."""

import re
import unicodedata
from collections.abc import Iterable

Attribute = tuple[str, str]
"""The OID of an attribute type, and a value in the form in which it is compared."""

DistinguishedName = tuple[tuple[Attribute, ...], ...]
"""Relative names from the top of the tree down, as in a certificate, each with its attributes sorted."""

_OIDS = {
    "cn commonname": "2.5.4.3",
    "sn surname": "2.5.4.4",
    "serialnumber": "2.5.4.5",
    "c countryname": "2.5.4.6",
    "l localityname": "2.5.4.7",
    "st stateorprovincename": "2.5.4.8",
    "street streetaddress": "2.5.4.9",
    "o organizationname": "2.5.4.10",
    "ou organizationalunitname": "2.5.4.11",
    "title": "2.5.4.12",
    "description": "2.5.4.13",
    "businesscategory": "2.5.4.15",
    "postalcode": "2.5.4.17",
    "name": "2.5.4.41",
    "gn givenname": "2.5.4.42",
    "initials": "2.5.4.43",
    "generationqualifier": "2.5.4.44",
    "dnqualifier": "2.5.4.46",
    "pseudonym": "2.5.4.65",
    "organizationidentifier": "2.5.4.97",
    "uid userid": "0.9.2342.19200300.100.1.1",
    "dc domaincomponent": "0.9.2342.19200300.100.1.25",
    "email emailaddress e": "1.2.840.113549.1.9.1",
    "jurisdictionl jurisdictionlocalityname": "1.3.6.1.4.1.311.60.2.1.1",
    "jurisdictionst jurisdictionstateorprovincename": "1.3.6.1.4.1.311.60.2.1.2",
    "jurisdictionc jurisdictioncountryname": "1.3.6.1.4.1.311.60.2.1.3",
}
_TYPES = {name: oid for names, oid in _OIDS.items() for name in names.split()}
"""Attribute types by their names in RFC 4514, RFC 4519 and OpenSSL, in lower case."""

_IGNORING_CASE = frozenset(_OIDS.values())
"""Types whose values are compared by caseIgnoreMatch or caseIgnoreIA5Match. Other values must be equal."""

_TYPE = re.compile(
    r"(?:(?:[Oo][Ii][Dd]\.)?([0-2](?:\.(?:0|[1-9][0-9]{0,38})){1,31})|([A-Za-z][A-Za-z0-9-]*))="
)
_HEX = re.compile(r"#((?:[0-9A-Fa-f]{2})+)")
_STRING = re.compile(r'(?:[^\0"+,;<>\\]|\\[ "#+,;<=>\\]|\\[0-9A-Fa-f]{2})+')
_PAIRS = re.compile(r'((?:\\[0-9A-Fa-f]{2})+)|\\([ "#+,;<=>\\])')
_STRING_ENCODINGS = {
    0x0C: "utf-8",
    0x12: "ascii",  # NumericString
    0x13: "ascii",  # PrintableString
    0x16: "ascii",  # IA5String
    0x1A: "ascii",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}
_LONG_FORM = 0x80
_FOREIGN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that print nothing, and are neither controls nor spaces by their category."""


def parse_distinguished_name(text: str) -> DistinguishedName:
    """Return the name in this text (RFC 4514). Raises ValueError, which names the mistake."""
    position = 0
    names: list[list[Attribute]] = [[]]
    while True:
        attribute, position = _attribute(text, position)
        names[-1].append(attribute)
        if position == len(text):
            return distinguished_name(reversed(names))
        if text[position] == ",":
            names.append([])
        elif text[position] != "+":
            raise ValueError(f"{text[position]!r} in it is not escaped")
        position += 1


def distinguished_name(names: Iterable[Iterable[Attribute]]) -> DistinguishedName:
    """Return relative names of OIDs and values in the form in which they are compared.

    Raises ValueError for a value with invisible characters, or with characters that look like others.
    """
    return tuple(tuple(sorted((oid, _prepared(oid, value)) for oid, value in one)) for one in names)


def _attribute(text: str, position: int) -> tuple[Attribute, int]:
    """Return the attribute that begins at this position, and the position of its end."""
    kind = _TYPE.match(text, position)
    if kind is None:
        raise ValueError("an attribute must be a type, = and a value, with no blank between two attributes")
    oid = kind[1] or _TYPES.get(kind[2].lower())
    if oid is None:
        raise ValueError(f"{kind[2]} is no attribute type known here: write its OID, as 2.5.4.3=a")
    if hexadecimal := _HEX.match(text, kind.end()):
        return (oid, _string_in(bytes.fromhex(hexadecimal[1]))), hexadecimal.end()
    found = _STRING.match(text, kind.end())
    if found is None or found[0][0] in " #" or _ends_in_blank(found[0]):
        raise ValueError(
            "a value must not be empty, begin with a blank or #, or end in a blank: write \\ before it"
        )
    return (oid, _unescaped(found[0])), found.end()


def _ends_in_blank(value: str) -> bool:
    """Return True for a blank at the end that is not escaped."""
    rest = value.rstrip(" ")
    if rest == value:
        return False
    backslashes = len(rest) - len(rest.rstrip("\\"))
    return len(value) - len(rest) > backslashes % 2


def _unescaped(value: str) -> str:
    def plain(pair: re.Match[str]) -> str:
        return bytes.fromhex(pair[1].replace("\\", "")).decode() if pair[1] else pair[2]

    return _PAIRS.sub(plain, value)


def _string_in(ber: bytes) -> str:
    """Return the string in these bytes, which begin with tag and length (RFC 4514 2.4)."""
    encoding = _STRING_ENCODINGS.get(ber[0])
    if encoding is None or len(ber) < 2:
        raise ValueError("a value after # is no string in BER: write it as text")
    octets = ber[1] & ~_LONG_FORM if ber[1] & _LONG_FORM else 0
    length = int.from_bytes(ber[2 : 2 + octets], "big") if octets else ber[1]
    if octets > 2 or (ber[1] & _LONG_FORM and not octets) or len(ber) != 2 + octets + length:
        raise ValueError("a value after # is longer or shorter than it says")
    return ber[2 + octets :].decode(encoding)


def _prepared(oid: str, value: str) -> str:
    """Return a value in the form of RFC 4518, but reject the characters that it drops or replaces.

    RFC 4518 drops invisible characters and replaces full-width letters. An attacker could get a certificate
    with such a name to pass for another client. So a letter equals its own capital alone: RFC 4518 also
    equates Strauss with Strauß, and later versions of Unicode equate some old Cyrillic letters with new ones.
    """
    composed = unicodedata.normalize("NFC", value)
    looks_like_others = (
        unicodedata.normalize("NFKC", value) != composed
        or value not in (composed, unicodedata.normalize("NFD", value))
        or INVISIBLE.search(value)
        or any(unicodedata.category(one) in _FOREIGN for one in value)
        or any(one.isspace() and one != " " for one in value)
    )
    if looks_like_others:
        raise ValueError("a value has characters that are not seen, or that only look like others")
    if not composed.strip(" "):
        raise ValueError("a value is blank")
    if oid not in _IGNORING_CASE:
        return composed
    return " ".join(unicodedata.normalize("NFC", composed.lower()).split())
