"""JSON values in any spelling that RFC 8259 allows, written independently of the code under test."""

import json

from hypothesis import strategies as st

from macaroon_cbat.macaroon.caveats import Caveat, caveat_text

white_space = st.text(" \t\r\n", max_size=2)


@st.composite
def spelled_strings(draw: st.DrawFn, text: str) -> str:
    """Return a string in quotes, each character as it is or escaped, in either letter case."""
    pieces = []
    for character in text:
        units = character.encode("utf-16-be")
        codes = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
        forms = ["".join(f"\\u{code:04x}" for code in codes), "".join(f"\\u{code:04X}" for code in codes)]
        if character == "/":
            forms.append("\\/")
        pieces.append(draw(st.sampled_from([json.dumps(character, ensure_ascii=False)[1:-1], *forms])))
    return '"' + "".join(pieces) + '"'


@st.composite
def spelled_numbers(draw: st.DrawFn, number: int) -> str:
    """Return a whole number, with a fraction of zero or an exponent, or without."""
    forms = [f"{number}", f"{number}.0", f"{number}.000e0", f"{number}E+0", f"{number}0e-1"]
    return draw(st.sampled_from(forms))


@st.composite
def spelled(draw: st.DrawFn, value: object) -> str:
    """Return the value as some library might write it."""
    before, after = draw(white_space), draw(white_space)
    if isinstance(value, dict):
        names = draw(st.permutations(list(value)))
        members = (f"{draw(spelled_strings(name))}:{draw(spelled(value[name]))}" for name in names)
        text = "{" + ",".join(f"{draw(white_space)}{member}" for member in members) + "}"
    elif isinstance(value, list):
        text = "[" + ",".join(draw(spelled(each)) for each in value) + "]"
    elif isinstance(value, str):
        text = draw(spelled_strings(value))
    else:
        assert isinstance(value, int)
        text = draw(spelled_numbers(value))
    return before + text + after


def members_of(caveats: list[Caveat]) -> dict[str, object]:
    """Return one object with the members of caveats of different kinds."""
    members: dict[str, object] = {}
    for caveat in caveats:
        members |= json.loads(caveat_text(caveat))
    return members
