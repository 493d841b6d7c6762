"""tls_client_auth where the CA file names an intermediate, and not its root."""

import logging

import pytest

from macaroon_cbat.errors import SettingsError
from tests.support.certificates import authority, certified
from tests.support.databases import NOW
from tests.support.intermediates import DN, ask
from tests.support.service import client_metadata, refused

ROOT = authority("CN=Root")
TRUSTED, OTHER = authority("CN=Sub CA", ROOT), authority("CN=Other Sub CA", ROOT)


@pytest.fixture
def naming(start, tmp_path):
    """Return what starts a service whose CA file holds these."""

    def started(*trusted):
        file = tmp_path / "clients-ca.pem"
        file.write_bytes(b"".join(one.pem for one in trusted))
        service = start(client_ca=file)
        metadata = client_metadata(
            token_endpoint_auth_method="tls_client_auth", tls_client_auth_subject_dn=DN
        )
        service.stores.clients.add("by-dn", metadata, secret=None, now=NOW)
        return service

    return started


@pytest.mark.parametrize("sent", [(), (TRUSTED,), (TRUSTED, ROOT)], ids=["nothing", "it", "it and its root"])
def test_an_intermediate_may_be_the_anchor(naming, sent):
    """A file that holds an intermediate alone trusts what that issued, whatever the client sends besides."""
    assert ask(naming(TRUSTED), certified(DN, TRUSTED), *sent).status_code == 200


def test_cas_below_it_are_trusted(naming):
    """A certificate of a CA below a trusted intermediate is trusted only with that CA's certificate."""
    below = authority("CN=Lower CA", TRUSTED)
    service = naming(TRUSTED)
    assert ask(service, certified(DN, below), below).status_code == 200
    refused(ask(service, certified(DN, below)), 401, "invalid_client")


def test_its_root_and_its_siblings_are_not(naming):
    """Neither the root of a trusted intermediate is trusted, nor another CA below that."""
    service = naming(TRUSTED)
    refused(ask(service, certified(DN, ROOT), ROOT), 401, "invalid_client")
    refused(ask(service, certified(DN, OTHER), OTHER, ROOT), 401, "invalid_client")


def test_it_is_no_client_itself(naming):
    """A trusted intermediate with a client's subject is no client's certificate."""
    named = authority(DN, ROOT)
    refused(ask(naming(named), named), 401, "invalid_client")


def test_its_own_expiry_and_bounds_hold(naming):
    """A trusted intermediate that expired admits no client, nor does one below a path length of 0."""
    expired = authority("CN=Sub CA", ROOT, days=(-30, -1))
    refused(ask(naming(expired), certified(DN, expired)), 401, "invalid_client")


def test_the_bounds_of_a_trusted_intermediate_hold(naming):
    """A trusted intermediate that may issue to clients alone has no CA below it."""
    last = authority("CN=Sub CA", ROOT, path_length=0)
    below = authority("CN=Lower CA", last)
    service = naming(last)
    assert ask(service, certified(DN, last)).status_code == 200
    refused(ask(service, certified(DN, below), below), 401, "invalid_client")


def test_of_several_the_topmost_are_the_anchors(naming):
    """In a file without a root, intermediates that another in it issued are none of the anchors."""
    below = authority("CN=Lower CA", TRUSTED)
    service = naming(below, TRUSTED, OTHER)
    for issuer in (below, TRUSTED, OTHER):
        assert ask(service, certified(DN, issuer)).status_code == 200
    refused(ask(service, certified(DN, ROOT)), 401, "invalid_client")


def test_beside_a_root_an_intermediate_of_another_is_not_trusted(naming, caplog):
    """Beside a root, an intermediate that does not lead to it is not trusted, and the log says so."""
    with caplog.at_level(logging.WARNING, "macaroon_cbat.service"):
        service = naming(authority("CN=Another Root"), TRUSTED)
    [line] = [record.getMessage() for record in caplog.records]
    assert "CN=Sub CA is not trusted" in line
    assert "name a file without self-signed certificates" in line
    refused(ask(service, certified(DN, TRUSTED), TRUSTED), 401, "invalid_client")


def test_a_file_of_a_root_and_its_intermediate_is_silent(naming, caplog):
    """A root and an intermediate that leads to it need no line in the log."""
    with caplog.at_level(logging.WARNING, "macaroon_cbat.service"):
        assert ask(naming(TRUSTED, ROOT), certified(DN, TRUSTED)).status_code == 200
    assert caplog.records == []


def test_a_client_is_no_anchor(naming):
    """A file that holds a client's certificate that a CA issued is refused at the start."""
    with pytest.raises(SettingsError, match="holds no certificate of a CA: name the CA's"):
        naming(certified(DN, TRUSTED))


def test_a_self_signed_certificate_in_the_file_is_trusted_for_itself(naming):
    """A self-signed client certificate in the file proves its client, and no other."""
    own = certified(DN)
    service = naming(own)
    assert ask(service, own).status_code == 200
    refused(ask(service, certified(DN), own), 401, "invalid_client")
    refused(ask(service, certified(DN, own), own), 401, "invalid_client")
