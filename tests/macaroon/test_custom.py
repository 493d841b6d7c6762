from types import MappingProxyType
from typing import Any

import pytest

from macaroon_cbat.errors import CaveatsNotMet, SignatureMismatch
from macaroon_cbat.macaroon.caveats import KNOWN_CAVEATS, Expiry, caveat_text
from macaroon_cbat.macaroon.custom import CustomCaveat, Judge, any_text, check_custom_name, custom_caveat
from macaroon_cbat.macaroon.verification import Principal, verify
from tests.support.forged_tokens import forged
from tests.support.tokens import ACCESS, BOUND, KEYS, NOW, appended, signed, token

TO_100 = CustomCaveat("payment", {"most": 100})


def up_to_50(value: Any, _access: Any) -> str | None:
    return None if value["most"] <= 50 else f"more than 50: {value['most']}"


def allow(_value: Any, _access: Any) -> None:
    return None


def refuse(_value: Any, _access: Any) -> str:
    return "not today"


def never(_value: Any, _access: Any) -> str | None:
    raise AssertionError("a judge was asked")


def judged(text: str, **judges: Judge) -> Principal:
    return verify(text, KEYS, ACCESS, custom=judges)


def refused(text: str, **judges: Judge) -> CaveatsNotMet:
    with pytest.raises(CaveatsNotMet) as refusal:
        judged(text, **judges)
    return refusal.value


def details(*found: Any) -> bytes:
    return any_text(CustomCaveat("authorization_details", list(found)))


def test_a_judge_allows_what_it_knows():
    """A custom caveat whose judge refuses nothing leaves the rights, and the principal names it."""
    principal = judged(token(BOUND, TO_100), payment=allow)
    assert (principal.custom, principal.is_attenuated) == ((TO_100,), True)


def test_a_judge_refuses():
    """The reason of a judge is for the log; the holder learns which caveat it is."""
    error = refused(token(BOUND, TO_100), payment=up_to_50)
    assert (error.unmet, error.description) == (
        ("payment: more than 50: 100",),
        "the token does not allow this request: payment does not allow it",
    )
    assert error.grant is not None


def test_the_facts_of_the_request_reach_the_judge():
    """A judge gets the value as it was written, and the facts of the request."""
    given: list[Any] = []
    judged(token(BOUND, TO_100), payment=lambda *facts: given.append(facts))
    assert given == [({"most": 100}, ACCESS)]


UNKNOWN = {
    "no judge at all": ({}, b'{"payment":1}'),
    "a judge of another name": ({"refund": allow}, b'{"payment":1}'),
    "the name in other letters": ({"payment": allow}, b'{"Payment":1}'),
    "a known caveat beside": ({"refund": allow}, b'{"exp":9007199254740991,"payment":1}'),
    "a judged caveat beside": ({"payment": allow}, b'{"payment":1,"tenant":1}'),
    "a repeated key": ({"payment": allow}, b'{"payment":1,"payment":2}'),
    "a repeated key inside": ({"payment": allow}, b'{"payment":{"most":1,"most":2}}'),
    "NaN": ({"payment": allow}, b'{"payment":NaN}'),
    "nested deeply": ({"payment": allow}, b'{"payment":' + b"[" * 1300 + b"]" * 1300 + b"}"),
    "a slip of the pen": ({"payment": allow}, b'{"scpoe":"read"}'),
    "details without a judge": ({}, details({"type": "payment"})),
    "details of another type": ({"payment": allow}, details({"type": "refund"})),
    "details of no type": ({"payment": allow}, b'{"authorization_details":[{"most":1}]}'),
    "details that are none": ({"payment": allow}, b'{"authorization_details":[]}'),
    "details that are no list": ({"payment": allow}, b'{"authorization_details":{"type":"payment"}}'),
    "details of a type that is no text": (
        {"payment": allow},
        b'{"authorization_details":[{"type":["payment"]}]}',
    ),
}


@pytest.mark.parametrize(("judges", "text"), UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_still_means_no(judges, text):
    """An authentic caveat without a judge of its very name is refused."""
    refused(signed(caveat_text(BOUND), text), **judges)


def test_the_signature_comes_first():
    """No judge is asked about a caveat that was appended without the signature."""
    with pytest.raises(SignatureMismatch):
        judged(forged(token(BOUND, TO_100)), payment=never)


@pytest.mark.parametrize("text", [caveat_text(Expiry(NOW)), b'{"htm":"PUT"}', b'{"tenant":1}'], ids=str)
def test_no_judge_is_asked_about_a_token_of_no_use(text):
    """Judges, which may ask a database, are asked last: where every other caveat allows the request."""
    assert "payment" not in str(refused(signed(caveat_text(BOUND), any_text(TO_100), text), payment=never))


def test_each_custom_caveat_restricts():
    """A holder cannot widen a custom caveat by another one: each is judged."""
    error = refused(
        appended(token(BOUND, TO_100), any_text(CustomCaveat("payment", {"most": 9}))), payment=up_to_50
    )
    assert error.unmet == ("payment: more than 50: 100",)


def test_known_members_of_one_text_restrict_as_well():
    """A text with known and custom members restricts by each of them."""
    both = b'{"payment":{"most":1},"exp":%d}'
    assert judged(signed(caveat_text(BOUND), both % (NOW + 7)), payment=up_to_50).expires_at == NOW + 7
    assert "exp" in str(refused(signed(caveat_text(BOUND), both % NOW), payment=up_to_50))


def test_a_judge_cannot_change_the_next_request():
    """Each request gets a value of its own: a judge that changes it changes nothing for the next one."""

    def spoiling(value: Any, access: Any) -> str | None:
        found = up_to_50(value, access)
        value["most"] = 0
        return found

    text = token(BOUND, TO_100)
    assert [refused(text, payment=spoiling).unmet for _ in range(2)] == [("payment: more than 50: 100",)] * 2


ONE_OF = {
    "the only one": ([{"type": "payment", "most": 7}], True),
    "the second": ([{"type": "refund"}, {"type": "payment", "most": 7}], True),
    "none": ([{"type": "refund"}, {"type": "payment", "most": 70}], False),
    "one of a type without a judge": ([{"type": "payment", "most": 7}, {"type": "lien"}], True),
}


@pytest.mark.parametrize(("found", "is_allowed"), ONE_OF.values(), ids=ONE_OF)
def test_one_of_the_details_allows_the_access(found, is_allowed):
    """Of the authorization details one has to allow the access, by the judge of its type (RFC 9396)."""
    text = signed(caveat_text(BOUND), details(*found))
    judges = {"payment": up_to_50, "refund": refuse}
    if_allowed = (lambda: judged(text, **judges)) if is_allowed else (lambda: refused(text, **judges))
    assert if_allowed()


def test_details_cannot_be_widened():
    """A holder that appends details of its own adds no right: the granted ones still restrict."""
    text = signed(
        caveat_text(BOUND),
        details({"type": "payment", "most": 70}),
        details({"type": "payment", "most": 7}),
    )
    assert "more than 50: 70" in str(refused(text, payment=up_to_50))


NO_NAMES = {
    "empty": "",
    "a blank": "pay ment",
    "quotes": 'pay"ment',
    "an equals sign": "pay=ment",
    "beyond ASCII": "zahlung\u00e4",
    "long": "p" * 101,
    "details": "authorization_details",
    "an actor": "act",
    "nearly scope": "scpoe",
    "scope in capitals": "SCOPE",
    "nearly path": "paths",
    **{f"the known {name}": name for name in sorted(KNOWN_CAVEATS)},
}


@pytest.mark.parametrize("name", NO_NAMES.values(), ids=NO_NAMES)
def test_names_of_known_caveats_are_taken(name):
    """A custom caveat has a name that cannot be taken for a known one."""
    with pytest.raises(ValueError, match=r"choose another|visible ASCII|did you mean"):
        check_custom_name(name)


@pytest.mark.parametrize(
    "name", ["payment", "tenant", "https://pay.example/v1", "urn:x-bank:sepa", "Konto.2"]
)
def test_types_of_details_may_be_names(name):
    """Words and URIs, as types of RFC 9396 are, can be names."""
    check_custom_name(name)
    assert custom_caveat(name, b' {"a": 1.5} ') == CustomCaveat(name, {"a": 1.5})


@pytest.mark.parametrize(
    "value", [b"", b"{", b'1,"b":2', b'1}{"b":2', b"NaN", b'{"a":1,"a":2}', b"\xff", b"1,"]
)
def test_a_value_is_one_json_value(value):
    """Text that smuggles a second member in, or that readers could read differently, is no value."""
    with pytest.raises(ValueError, match="is not usable"):
        custom_caveat("payment", value)


def test_any_mapping_of_judges_will_do():
    """Judges come as a mapping, which the verifier does not change."""
    judges = MappingProxyType({"payment": allow})
    assert verify(token(BOUND, TO_100), KEYS, ACCESS, custom=judges).custom == (TO_100,)
