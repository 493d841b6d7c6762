import tomllib

import pytest

from macaroon_cbat.certificate.file import der_of
from macaroon_cbat.certificate.thumbprint import thumbprint_of
from macaroon_cbat.errors import InvalidToken
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.vectors.generate import FOLDER, present, principal_table, render
from tests.vectors.more_cases import CASES

FILES = sorted(FOLDER.glob("*.toml"))


def outcome(vector: dict) -> str:
    """Return what comes of a vector: "accepted" or the name of the error."""
    try:
        if vector["kind"] == "certificate":
            assert thumbprint_of(der_of(vector["pem"].encode())) == vector["thumbprint"]
        elif vector["kind"] == "read":
            macaroon = read_macaroon(vector["text"])
            assert macaroon.location == vector["location"].encode()
            assert macaroon.identifier == vector["identifier"].encode()
            assert [caveat.decode() for caveat in macaroon.caveats] == vector["caveats"]
            assert macaroon.signature.hex() == vector["signature"]
        else:
            assert principal_table(present(vector)) == vector.get("principal")
    except InvalidToken as refusal:
        return type(refusal).__name__
    return "accepted"


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_vector(file):
    """Each vector comes out as it says."""
    vector = tomllib.loads(file.read_text("utf-8"))
    assert outcome(vector) == vector["expect"], vector["comment"]


def test_the_generated_vectors_are_the_generated_ones():
    """Every vector that is not quoted from elsewhere is what the generator writes, byte for byte."""
    written = {file.stem: file.read_text("utf-8") for file in FILES if not file.name.startswith("published-")}
    assert written == {name: render(case) for name, case in CASES.items()}
