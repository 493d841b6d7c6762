import tomllib
from pathlib import Path

import pytest

from macaroon_cbat.certificate.file import der_of
from macaroon_cbat.certificate.formats import FORMATS
from macaroon_cbat.certificate.source import NO_CERTIFICATE
from macaroon_cbat.certificate.thumbprint import thumbprint_of

FILES = sorted(Path(__file__).parent.joinpath("proxies").glob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_vector(file: Path) -> None:
    """The headers of a real proxy are read as the certificate presented to it, and as none without one."""
    vector = tomllib.loads(file.read_text("utf-8"))
    form = FORMATS[vector["format"]]
    names = [name.lower() for name in (form.header, *form.companions)]
    for headers, expected in (("headers", vector["thumbprint"]), ("headers_without_certificate", None)):
        folded = {name.lower(): value for name, value in vector[headers].items()}
        assert folded.keys() <= set(names)
        peer = form.read(*[folded.get(name) for name in names])
        assert peer.thumbprint == expected
        assert expected is not None or peer == NO_CERTIFICATE
    assert thumbprint_of(der_of(vector["pem"].encode())) == vector["thumbprint"]


def test_every_proxy_has_a_vector() -> None:
    """There are vectors of all six proxies."""
    assert {file.name.partition("-")[0] for file in FILES} == {
        "apache", "caddy", "envoy", "haproxy", "nginx", "traefik"
    }  # fmt: skip
