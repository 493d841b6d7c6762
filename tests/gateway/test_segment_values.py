"""Numbers and UUIDs in paths: no spelling that a server reads as a ruled value has a laxer rule."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.errors import InvalidRequest, NoRule
from macaroon_cbat.gateway.rules import Rule, Rules, path_of
from macaroon_cbat.gateway.segment_values import value_of, values_in

ID = UUID("0e3f5a51-97c1-4d3e-8a4b-00a0c9c8e3d7")
RULES = Rules(
    [
        Rule(path="/invoices", scope="read"),
        Rule(path="/invoices/7", scope="admin"),
        Rule(path="/invoices/7/lines", scope="lines"),
        Rule(path=f"/invoices/{ID}", scope="admin"),
        Rule(path="/invoices/0", exact=True, scope="admin"),
        Rule(path="/invoices/-12", scope="admin"),
    ]
)
SPELLINGS = {
    "a leading zero": "07",
    "a thousand leading zeros": "0" * 1000 + "7",
    "a sign": "+7",
    "a sign, encoded": "%2B7",
    "an underscore": "0_7",
    "an underscore behind": "7_",
    "a blank before": "%207",
    "a blank behind": "7%20",
    "a no-break space": "%C2%A07",
    "an Arabic digit": "%D9%A7",
    "Arabic zeros": "%D9%A0" * 100 + "%D9%A7",
    "a Devanagari digit": "%E0%A5%AD",
    "a full-width digit": "%EF%BC%97",
    "a mathematical digit": "%F0%9D%9F%95",
    "an invisible character": "0%E2%80%8B7",
    "a fraction": "7.0",
    "a fraction to be cut": "7.9",
    "an exponent": "7e0",
    "an exponent and a point": "0.7e1",
    "a long exponent": "7" + "0" * 400 + "e-400",
    "rounded": "6.99999999999999999999999",
    "to the base 16": "0x7",
    "to the base 16, with zeros": "0X0007",
    "to the base 8": "0o7",
    "to the base 2": "0b111",
    "what follows": "7abc",
    "a title": "7-rent-of-May",
    "a list": "7,8",
    "zeros and a title": "+007-rent",
    "a negative zero": "-0",
    "several zeros": "000",
    "a negative number": "-012",
    "a UUID in capitals": str(ID).upper(),
    "a UUID without hyphens": ID.hex,
    "a UUID in braces": f"%7B{ID}%7D",
    "a UUID as a URN": ID.urn,
    "a UUID as a URN, in capitals": ID.urn.upper(),
    "a UUID with other hyphens": "-".join(ID.hex),
    "a UUID with a thousand hyphens": "-" * 1000 + ID.hex,
    "a UUID with a format": f"{ID.hex.upper()}.json",
    "a UUID in full width": "".join(chr(ord(one) + 0xFEE0) for one in ID.hex),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("below", ["", "/x"])
def test_another_spelling_of_a_ruled_value_does_not_fall_through(spelling: str, below: str):
    """A segment that reads as a ruled number or UUID is refused in every other spelling."""
    exact = Rules([Rule(path="/invoices", scope="read"), Rule(path="/invoices/0", scope="admin")])
    rules = exact if below and spelling in ("-0", "000") else RULES
    try:
        path = path_of(f"/invoices/{spelling}{below}")
    except InvalidRequest:
        path = f"/invoices/{spelling}{below}"  # where every character may come as it is
    with pytest.raises(NoRule, match="could be taken for"):
        rules.rule_for("GET", path)


@pytest.mark.parametrize("segment", ["8", "70", "17", "-7", "08", "8e0", "x7", "v7", "seven", "7" * 5000])
def test_another_value_falls_to_its_rule(segment: str):
    """A segment that reads as no ruled value is judged by the rule that it falls to."""
    assert RULES.rule_for("GET", f"/invoices/{segment}").scope == "read"
    assert RULES.rule_for("GET", f"/invoices/{UUID(int=1 << 127)}").scope == "read"


@pytest.mark.parametrize(
    ("ruled", "asked"),
    [("007", "7"), ("007", "07"), ("+7", "7"), ("\u0667", "7"), (ID.hex, str(ID)), (str(ID).upper(), ID.hex)],
)
def test_the_rule_may_have_the_other_spelling(ruled: str, asked: str):
    """Whichever spelling of a value the rule has, it decides about that one, and the others are refused."""
    rules = Rules([Rule(path="/", public=True), Rule(path=f"/a/{ruled}", scope="x")])
    assert rules.rule_for("GET", f"/a/{ruled}/b").scope == "x"
    with pytest.raises(NoRule, match="could be taken for"):
        rules.rule_for("GET", f"/a/{asked}")


def test_a_rule_for_each_spelling_decides():
    """Two spellings that have rules of their own are judged by these."""
    pairs = [("7", "x"), ("007", "y")]
    rules = Rules([Rule(path="/", public=True), *(Rule(path=f"/{one}", scope=two) for one, two in pairs)])
    for one, scope in pairs:
        assert rules.rule_for("GET", f"/{one}").scope == scope
        assert rules.rule_for("GET", f"/{one}/b").scope == scope


def test_the_values_above_a_ruled_path_count():
    """A value above the last segment of a rule is read in every spelling too."""
    with pytest.raises(NoRule, match="'/invoices/7/lines'"):
        Rules([Rule(path="/", public=True), Rule(path="/invoices/7/lines", scope="x")]).rule_for(
            "GET", "/invoices/007/LINES"
        )


@given(
    st.integers(),
    st.sampled_from(
        ["{:d}", "{:+d}", "{:08d}", "{:_d}", " {:d}", "{:d} ", "{:#x}", "{:#o}", "{:#b}", "{:d}.0"]
    ),
    st.sampled_from(
        [
            "0123456789",
            "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669",
            "\u0966\u0967\u0968\u0969\u096a\u096b\u096c\u096d\u096e\u096f",
            "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19",
        ]
    ),
)
def test_whatever_python_reads_as_the_number_is_known(number: int, form: str, digits: str):
    """Each spelling that Python or JavaScript converts to a number is one of its readings."""
    text = form.format(number).translate(str.maketrans("0123456789", digits))
    assert str(number) in values_in(text)


@given(st.text(st.characters(categories=["Nd", "Zs"], include_characters="+-_0xob.e")))
def test_what_int_reads_is_the_value(text: str):
    """A segment that int() reads as a whole has the name of that number."""
    try:
        number = int(text)
    except ValueError:
        return
    assert value_of(text) == str(number)


@given(st.uuids(), st.text("{}-", max_size=9))
def test_what_uuid_reads_is_the_value(uuid: UUID, noise: str):
    """A segment that UUID() reads as a whole, with any number of hyphens, has the name of that UUID."""
    text = f"{noise}{uuid.hex[:9]}-{uuid.hex[9:].upper()}"
    assert values_in(text)[0] == value_of(text) == value_of(uuid.hex)


@pytest.mark.parametrize(
    "filler", ["0", "_", "+", "-", " ", "7", "\u0667", "0x", "e", "{", "\u0316\u0301", "7."]
)
def test_a_long_segment_costs_little(filler: str):
    """Readings of text that an attacker chose take linear time."""
    assert len(values_in(filler * 500_000)) <= 4
    assert len(values_in("0" + filler * 500_000 + "g")) <= 4
