import itertools

import pytest
from msgspec import UNSET

from macaroon_cbat.errors import InvalidToken, SignatureMismatch, UnknownKey
from macaroon_cbat.macaroon.identifier import identifier_text
from macaroon_cbat.macaroon.keys import audience_key, audience_keys
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.macaroon.verification import verify
from tests.support.tokens import (
    API,
    BOUND,
    CERTIFICATE,
    ISSUER,
    KEY,
    OTHER_API,
    ROOT,
    access,
    grant,
    signed,
    to_binary,
)

OTHER = audience_keys(ISSUER, OTHER_API, [ROOT])
CLAIMED = {"its own audience": API, "the other's": OTHER_API, "none": UNSET, "both": (API, OTHER_API)}


@pytest.mark.parametrize("audience", CLAIMED.values(), ids=CLAIMED)
def test_a_resource_server_cannot_mint_for_another(audience):
    """No other resource server accepts a token that one mints with its own key, whatever audience it has."""
    forged = mint(KEY, ISSUER, grant(aud=audience, client_id="root"), [BOUND])
    with pytest.raises((SignatureMismatch, UnknownKey)):
        verify(forged, OTHER, access(audience=OTHER_API, certificate=CERTIFICATE))


def test_no_key_is_found_in_another():
    """No key that a resource server holds is the key of another use or audience, or leads to the root."""
    held = {KEY.secret, KEY.macaroon_key, to_binary(signed())[-32:]}
    for use, audience in itertools.product(("access", "refresh", "discharge"), (API, OTHER_API, None)):
        key = audience_key(ROOT, audience, use)
        if (use, audience) != ("access", API):
            assert not held & {key.secret, key.macaroon_key}
    assert ROOT.secret not in held


@pytest.mark.parametrize("secret", [b"", bytes(32), ROOT.secret, KEY.macaroon_key, KEY.kid.encode()])
def test_no_guessable_key_mints(secret):
    """Neither an empty key, nor zeros, nor the root or a derived key taken for the audience key, mints."""
    with pytest.raises(InvalidToken):
        verify(
            signed(secret=secret, identifier=identifier_text(grant())),
            audience_keys(ISSUER, API, [ROOT]),
            access(),
        )
