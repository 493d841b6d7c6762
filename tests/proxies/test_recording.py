from collections.abc import Mapping

import pytest

from macaroon_cbat.certificate.formats import FORMATS
from macaroon_cbat.certificate.source import NO_CERTIFICATE, PresentedCertificate
from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from tests.support.certificate_spellings import NONE, SPELLINGS
from tests.support.proxies.certificates import World
from tests.support.proxies.deployment import make_stand
from tests.support.proxies.recordings import WRITTEN, written
from tests.support.proxies.rows import Row


def values(name: str, headers: Mapping[str, str]) -> list[str | None]:
    folded = {key.lower(): value for key, value in headers.items()}
    return [folded.get(each.lower()) for each in (FORMATS[name].header, *FORMATS[name].companions)]


def read(name: str, headers: Mapping[str, str]) -> PresentedCertificate:
    return FORMATS[name].read(*values(name, headers))


@pytest.mark.parametrize("row", WRITTEN, ids=lambda row: row.name)
def test_what_a_proxy_writes(row: Row, world: World) -> None:
    """A running proxy writes a certificate, and the lack of one, as the tests of its format spell it."""
    with make_stand(row, world) as stand:
        with_it, without = written(stand, "self-signed"), written(stand, None)
    der = world.holders["self-signed"].der
    assert read(row.format, with_it).thumbprint == thumbprint_of(DerCertificate(der))
    assert SPELLINGS[row.format](der)[0].startswith(values(row.format, with_it)[0] or "nothing")
    assert read(row.format, without) == NO_CERTIFICATE
    nothing = ["::"] if row.format == "rfc9440" else list(NONE[row.format])  # never by silence
    assert values(row.format, without) == nothing
