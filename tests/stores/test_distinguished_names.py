import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.stores.distinguished_names import distinguished_name, parse_distinguished_name

CN, ORG, COUNTRY, OWN = "2.5.4.3", "2.5.4.10", "2.5.4.6", "1.3.6.1.4.1.99999.7"
SAME = {
    "types in small letters": ("CN=a,O=b", "cn=a,o=b"),
    "types in mixed letters": ("CN=a,OU=b", "Cn=a,oU=b"),
    "long names of types": ("CN=a,O=b,C=DE", "commonName=a,organizationName=b,countryName=DE"),
    "OIDs of types": ("CN=a,UID=b", "2.5.4.3=a,0.9.2342.19200300.100.1.1=b"),
    "OIDs as Java writes them": ("CN=a", "OID.2.5.4.3=a"),
    "e-mail by each name": ("emailAddress=a@b", "E=a@b"),
    "letter case of values": ("CN=Billing,O=EXAMPLE", "CN=bILLING,O=example"),
    "of other scripts": ("CN=\u00c4rger", "CN=\u00e4RGER"),
    "composed and decomposed": ("CN=\u00e9", "CN=e\u0301"),
    "several blanks": ("CN=a  b", "CN=a b"),
    "blanks around": (r"CN=\ a\ ", "CN=a"),
    "escaped by a backslash": (r"CN=a\,b\+c\"d\\e\;f\<g\>h\=i\#j", r"CN=a\2Cb\2bc\22d\5ce\3bf\3cg\3eh=i#j"),
    "UTF-8 in hexadecimal": ("CN=L\u00fccke", r"CN=L\C3\BCcke"),
    "PrintableString in BER": ("C=BR", "C=#13024252"),
    "UTF8String in BER": ("CN=L\u00fc", "CN=#0c034cc3bc"),
    "IA5String in BER": ("DC=br", "DC=#16024252"),
    "BMPString in BER": ("CN=ab", "CN=#1e0400610062"),
    "UniversalString in BER": ("CN=a", "CN=#1c0400000061"),
    "a length in the long form": ("CN=ab", "CN=#0c81026162"),
    "as Open Banking Brasil registers it": (
        "UID=b0c9,1.3.6.1.4.1.311.60.2.1.3=BR,2.5.4.15=Private Organization",
        "uid=B0C9,jurisdictionC=#13024252,businessCategory=#0c1450726976617465204f7267616e697a6174696f6e",
    ),
    "attributes of one part in any order": ("CN=a+OU=b,O=c", "OU=b+CN=a,O=c"),
    "an own type": (f"{OWN}=a", f"{OWN}=#0c0161"),
}
OTHERS = {
    "another order": ("CN=a,O=b", "O=b,CN=a"),
    "one part and two": ("CN=a+O=b", "CN=a,O=b"),
    "more": ("CN=a,O=b", "CN=a,O=b,C=DE"),
    "a value twice": ("CN=a+CN=a", "CN=a"),
    "a value in two cases": ("CN=a+CN=A", "CN=a"),
    "another type": ("CN=a", "OU=a"),
    "the whole in one value": ("CN=a,O=b", r"CN=a\,O\=b"),
    "a blank between and none": ("CN=a b", "CN=ab"),
    "a letter of another script": ("CN=a", "CN=\u0430"),
    "an own type in another case": (f"{OWN}=a", f"{OWN}=A"),
    "an own type with a blank": (f"{OWN}=a", rf"{OWN}=a\ "),
    "an accent": ("CN=e", "CN=\u00e9"),
    "a dotless i": ("CN=i", "CN=\u0131"),
    "a dot above": ("CN=i", "CN=\u0130"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_two_spellings_are_one_name(one, other):
    """Texts that RFC 4514 and RFC 4512 read alike, and values that RFC 5280 7.1 equates, are one name."""
    assert parse_distinguished_name(one) == parse_distinguished_name(other)


@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS)
def test_names_that_look_alike_are_two(one, other):
    """Names that differ in more than RFC 5280 7.1 equates are two."""
    assert parse_distinguished_name(one) != parse_distinguished_name(other)


UNREADABLE = {
    "nothing": ("", "a type, = and a value"),
    "no type": ("billing", "a type, = and a value"),
    "no value": ("CN=", "must not be empty"),
    "an unknown type": ("FOO=a", "FOO is no attribute type known here: write its OID"),
    "a blank after the comma": ("CN=a, O=b", "no blank between"),
    "a blank before the equals sign": ("CN =a", "a type, = and a value"),
    "a blank after it": ("CN= a", "begin with a blank"),
    "a blank at the end": ("CN=a ", "end in a blank"),
    "an escaped backslash and a blank": ("CN=a\\\\ ", "end in a blank"),
    "a comma at the end": ("CN=a,", "a type, = and a value"),
    "a semicolon": ("CN=a;O=b", "';' in it is not escaped"),
    "a quoted value": ('CN="a"', "must not be empty"),
    "slashes, as older tools write": ("/CN=a/O=b", "a type, = and a value"),
    "a NUL": ("CN=a\0", "is not escaped"),
    "an escaped NUL": (r"CN=a\00", "not seen"),
    "an escaped line end": (r"CN=a\0A", "not seen"),
    "a zero-width space": ("CN=a\u200b", "not seen"),
    "a soft hyphen": ("CN=a\u00adb", "not seen"),
    "a variation selector": ("CN=a\ufe0f", "not seen"),
    "a Hangul filler": ("CN=a\u3164", "only look like others"),
    "full-width letters": ("CN=\uff41", "only look like others"),
    "a ligature": ("CN=\ufb01", "only look like others"),
    "a Kelvin sign": ("CN=\u212a", "only look like others"),
    "a no-break space": ("CN=a\u00a0b", "only look like others"),
    "an Ogham space": ("CN=a\u1680b", "only look like others"),
    "a right-to-left override": ("CN=a\u202eb", "not seen"),
    "a private character": ("CN=\ue000", "not seen"),
    "nothing but blanks": (r"CN=\ ", "blank"),
    "half a byte": ("CN=#130", "no string in BER"),
    "an empty hexadecimal value": ("CN=#", "begin with a blank or #"),
    "an integer in BER": ("CN=#020101", "no string in BER"),
    "a bit string in BER": ("2.5.4.45=#03020041", "no string in BER"),
    "too short in BER": ("CN=#1303424252"[:-2], "longer or shorter"),
    "too long in BER": ("CN=#1302424252", "longer or shorter"),
    "an indefinite length": ("CN=#1380424200", "longer or shorter"),
    "a tag alone": ("CN=#13", "no string in BER"),
    "bytes that are no UTF-8": ("CN=#0c01ff", "utf-8"),
    "an escaped byte that is no UTF-8": (r"CN=\ff", "utf-8"),
    "Latin-1 in a PrintableString": ("CN=#1301e9", "ascii"),
    "a T61String": ("CN=#140161", "no string in BER"),
    "an OID with a leading zero": ("2.5.04.3=a", "a type, = and a value"),
    "an OID that is one number": ("2=a", "a type, = and a value"),
}


@pytest.mark.parametrize(("text", "problem"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_no_name_is_said(text, problem):
    """A text that is no RFC 4514 name, or could pass for another's, is a ValueError that says why."""
    with pytest.raises(ValueError, match=problem):
        parse_distinguished_name(text)


@given(st.text(max_size=30))
def test_any_value_is_read_or_refused(value):
    """A value is read as it is, escaped byte by byte, or refused as a ValueError: never something else."""
    escaped = "".join(f"\\{byte:02x}" for byte in value.encode("utf-8", "replace"))
    try:
        expected = distinguished_name([[(CN, value)]])
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            parse_distinguished_name(f"CN={escaped}")
    else:
        assert parse_distinguished_name(f"CN={escaped}") == expected


@given(st.text('CN=cn2.5#,+\\ "aA\u00e91f3', max_size=40))
def test_any_text_is_read_or_refused(text):
    """Any text is a name or a ValueError."""
    try:
        found = parse_distinguished_name(text)
    except ValueError:
        return
    assert found
    assert all(one for one in found)
