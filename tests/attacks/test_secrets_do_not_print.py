import tomllib
import traceback

import pytest

from macaroon_cbat.errors import InvalidToken
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.tokens import BOUND, KEY, ROOT, judged, to_binary, token
from tests.vectors.generate import present, render
from tests.vectors.more_cases import CASES

REFUSED = {name: case for name, case in CASES.items() if case.expect != "accepted"}


def shown(error: BaseException) -> str:
    """Return all that a log may say of an error: its texts and its whole traceback."""
    return f"{error!r} {error} {''.join(traceback.format_exception(error))}"


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_shows_neither_token_nor_key(name):
    """Neither error nor traceback of any refusal shows the token's text, its signature or a key."""
    vector = tomllib.loads(render(REFUSED[name]))
    with pytest.raises(InvalidToken) as refusal:
        present(vector)
    said = shown(refusal.value)
    for text in (vector["text"], *vector["discharges"]):
        assert len(text) < 30 or text[-30:] not in said
        assert len(text) < 30 or text[:30] not in said
        try:
            signature = read_macaroon(text).signature
        except InvalidToken:
            continue
        assert signature.hex() not in said
        assert repr(signature)[2:-1] not in said
    for secret in (ROOT.secret, KEY.secret, KEY.macaroon_key):
        assert secret.hex() not in said
        assert repr(secret)[2:-1] not in said


def test_what_is_read_does_not_print():
    """The repr of what is read from a token shows no signature, and that of a principal no token."""
    text = token(BOUND)
    signature = to_binary(text)[-32:]
    for value in (read_macaroon(text), judged(text), KEY):
        assert repr(signature)[2:-1] not in repr(value)
        assert text[-20:] not in repr(value)
