"""Custom caveats at the gateway: its policy is a file, which runs no code, so that it judges none."""

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.gateway.policy_file import read_policy
from macaroon_cbat.macaroon.custom import CustomCaveat
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.gateway_tokens import good
from tests.support.proxy_requests import Asked

DETAILS = CustomCaveat("authorization_details", [{"type": "payment"}])


@pytest.mark.parametrize(
    "caveat", [CustomCaveat("payment", {"most": 1}), DETAILS], ids=["payment", "details"]
)
def test_the_gateway_judges_no_custom_caveat(ask, holder, caveat):
    """A token with a custom caveat, or with authorization details, is refused by name."""
    token = attenuate(good(holder.der), [caveat])
    answer = ask(Asked(certificate=holder.der, more=(("Authorization", f"Bearer {token}"),)))
    assert answer.status == 401
    assert f"unknown caveat '{caveat.name}'" in answer.headers["WWW-Authenticate"]


def test_a_policy_names_no_judge(tmp_path):
    """A policy that would name judges is refused: the file can run nothing."""
    file = tmp_path / "gateway.toml"
    file.write_text('audience = "https://api.example"\n[caveats]\npayment = "shop.judges.payment"\n')
    with pytest.raises(SettingsError):
        read_policy(file)
