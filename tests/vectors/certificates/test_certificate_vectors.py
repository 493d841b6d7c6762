"""Header fields as proxies and load balancers send them, one case a file, through the whole source."""

import tomllib

import pytest

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.errors import MacaroonError
from tests.vectors.certificates.generate import FOLDER, render, vectors

FILES = sorted(FOLDER.glob("*.toml"))


def outcome(vector: dict) -> str:
    """Return the word for the peer that the source finds, or the name of the error."""
    fields = [(name.encode(), value.encode("latin-1")) for name, value in vector["fields"]]
    source = Forwarded(vector["format"], trust=trusted_proxies(["unix"]), header=vector.get("header"))
    try:
        peer = source(RawConnection(fields, address=None, is_unix_socket=True))
    except MacaroonError as error:
        return type(error).__name__
    if peer.thumbprint is None:
        return "no certificate"
    assert peer.thumbprint == vector["thumbprint"]
    assert (peer.certificate is not None) == vector["has_certificate"]
    return "accepted"


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_certificate_vector(file):
    """Each vector comes out as it says."""
    vector = tomllib.loads(file.read_text("utf-8"))
    assert outcome(vector) == vector["expect"], vector["comment"]


def test_the_generated_certificate_vectors_are_the_generated_ones():
    """Every vector that is not quoted from elsewhere is what the generator writes, byte for byte."""
    written = {file.stem: file.read_text("utf-8") for file in FILES if not file.name.startswith("published-")}
    assert written == {name: render(vector) for name, vector in vectors().items()}
