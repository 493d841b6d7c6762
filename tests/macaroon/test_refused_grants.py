"""The grant that a refusal carries: of authentic tokens alone."""

from collections.abc import Callable

import pytest

from macaroon_cbat.errors import (
    CaveatsNotMet,
    InsufficientScope,
    InvalidToken,
    MalformedMacaroon,
    NotCertificateBound,
    NotDischarged,
    OAuthError,
    RefusedGrant,
    Revoked,
    SignatureMismatch,
    UnknownKey,
)
from macaroon_cbat.macaroon.caveats import Expiry, Scope
from macaroon_cbat.macaroon.minting import add_third_party_caveat
from macaroon_cbat.macaroon.verification import Principal, require_scope, verify
from tests.support.forged_tokens import forged
from tests.support.tokens import ACCESS, BOUND, GRANT, KEYS, NOW, token


class Takes:
    """Revocations that name every token."""

    def reason(self, *_: object) -> str:
        """Take back whatever it is."""
        return "revoked"


def judged(text: str, **options: object) -> Principal:
    return verify(text, KEYS, ACCESS, **options)


def undischarged() -> str:
    return add_third_party_caveat(token(BOUND), "https://third.example", bytes(32), b"who")


def of_an_unknown_key() -> str:
    return token(BOUND, kid="another")


AUTHENTIC: dict[type[OAuthError], Callable[[], object]] = {
    Revoked: lambda: judged(token(BOUND), revocations=Takes()),
    CaveatsNotMet: lambda: judged(token(BOUND, Expiry(NOW - 60))),
    NotCertificateBound: lambda: judged(token()),
    InsufficientScope: lambda: require_scope(judged(token(BOUND)), "root"),
    NotDischarged: lambda: judged(undischarged()),
}
NOT_AUTHENTIC: dict[type[OAuthError], Callable[[], object]] = {
    MalformedMacaroon: lambda: judged("rubbish"),
    UnknownKey: lambda: judged(of_an_unknown_key()),
    SignatureMismatch: lambda: judged(forged(token(BOUND))),
}


@pytest.mark.parametrize(("error", "refused"), AUTHENTIC.items(), ids=[one.__name__ for one in AUTHENTIC])
def test_a_refusal_after_the_signature_names_the_token(
    error: type[OAuthError], refused: Callable[[], object]
):
    """A refusal of an authentic token carries its client and id, so that the token is not read again."""
    with pytest.raises(error) as caught:
        refused()
    assert caught.value.grant == RefusedGrant(GRANT.client_id, GRANT.jti)


@pytest.mark.parametrize(
    ("error", "refused"), NOT_AUTHENTIC.items(), ids=[one.__name__ for one in NOT_AUTHENTIC]
)
def test_a_refusal_before_the_signature_names_no_token(
    error: type[OAuthError], refused: Callable[[], object]
):
    """A refusal of a token that is not authentic carries no grant: an attacker may have written it."""
    with pytest.raises(error) as caught:
        refused()
    assert caught.value.grant is None


def test_an_empty_scope_names_the_token():
    """Scope caveats that leave nothing refuse an authentic token, too."""
    with pytest.raises(InvalidToken) as caught:
        judged(token(BOUND, Scope("read"), Scope("write")))
    assert caught.value.grant == RefusedGrant(GRANT.client_id, GRANT.jti)
