import tomllib

import pytest

from macaroon_cbat.service.federation.refusals import UnacceptableJwt
from tests.vectors.federation.generate import CASES, FOLDER, judged, render

FILES = sorted(FOLDER.glob("*.toml"))
VECTORS = {file.stem: tomllib.loads(file.read_text("utf-8")) for file in FILES}
ACCEPTED = [name for name, vector in VECTORS.items() if vector["expect"] == "accepted"]
REFUSED = [name for name, vector in VECTORS.items() if vector["expect"] == "refused"]


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_token_for_the_right_caller(name):
    """A token of the right caller is accepted as the client, or for the subject, that the vector names."""
    assert judged(VECTORS[name]).subject == VECTORS[name].get("subject"), VECTORS[name]["comment"]


@pytest.mark.parametrize("name", REFUSED)
def test_every_other_token(name):
    """A token of another caller, issuer, moment, audience or kind is refused, for its reason."""
    with pytest.raises(UnacceptableJwt) as refusal:
        judged(VECTORS[name])
    assert VECTORS[name]["reason"] in str(refusal.value), VECTORS[name]["comment"]


def test_the_vectors_are_the_generated_ones():
    """Every vector is what the generator writes, byte for byte."""
    written = {file.stem: file.read_text("utf-8") for file in FILES}
    assert written == {name: render(case) for name, case in CASES.items()}
