from pathlib import Path

import pytest

from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.errors import SettingsError
from tests.support.certificate_files import ISSUER, LEAF, SKIPPED


@pytest.mark.parametrize("spelling", SKIPPED.values(), ids=SKIPPED)
def test_an_issuer_is_not_the_holder(tmp_path: Path, spelling: bytes) -> None:
    """A file whose leaf OpenSSL skips is refused, also with the key of the issuer that is left."""
    (tmp_path / "c").write_bytes(spelling + b"\n" + ISSUER.pem)
    (tmp_path / "k").write_bytes(ISSUER.key_pem)
    with pytest.raises(SettingsError, match=f"^{tmp_path}/c "):
        ClientCertificate(tmp_path / "c", tmp_path / "k")


@pytest.mark.parametrize(
    "content",
    [
        LEAF.pem + ISSUER.key_pem,
        ISSUER.key_pem + LEAF.pem + LEAF.key_pem,
        LEAF.pem + ISSUER.pem + ISSUER.key_pem,
    ],
    ids=["another's key", "another's key first", "the issuer's key"],
)
def test_the_key_in_the_file_belongs_to_the_leaf(tmp_path: Path, content: bytes) -> None:
    """The first key in a file that holds certificates too has to be the leaf's, before anything is sent."""
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(SettingsError, match="private key that belongs to it"):
        ClientCertificate(tmp_path / "c")
