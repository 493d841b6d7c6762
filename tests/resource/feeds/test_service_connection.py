"""The resource server as a client of the service, over real TLS."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from macaroon_cbat.errors import Refused, SettingsError, Unavailable
from macaroon_cbat.files import replace_file
from macaroon_cbat.resource import ServiceConnection
from tests.support.certificates import certified
from tests.support.feeds import Feeding, copy_of
from tests.support.ports import free_port
from tests.support.service_process import API
from tests.support.tls_servers import make_client, wait_until


@pytest.mark.parametrize("name", ["invoices", "certified", "bound"])
def test_it_authenticates_and_binds(feeding: Feeding, name: str):
    """A child is bound to this connection, by secret or by certificate, minted bound or not."""
    connection = feeding.connection(name)
    assert json.loads(connection.keys(API))["audiences"][0]["audience"] == API
    assert json.loads(connection.revocations("0", 0))["is_last"] is True


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("reporting", 400, "invalid_target"), ("elsewhere", 403, "access_denied")],
)
def test_a_refusal_says_which(feeding: Feeding, name: str, status: int, code: str):
    """A client that lacks scope or audience is told so by the service's own error."""
    with pytest.raises(Refused) as caught:
        feeding.connection(name).keys(API)
    assert (caught.value.status, caught.value.code) == (status, code)


def test_a_wrong_secret_is_refused(feeding: Feeding):
    """A wrong secret is invalid_client."""
    connection = ServiceConnection(
        feeding.service.issuer, "invoices", "wrong", certificate=feeding.holder.file, ca=feeding.service.ca
    )
    with pytest.raises(Refused, match="invalid_client"):
        connection.keys(API)


def test_an_unreachable_service_is_unavailable(feeding: Feeding):
    """An address at which no service listens gives no refusal."""
    with pytest.raises(Unavailable):
        feeding.connection(issuer=f"https://localhost:{free_port()}").keys(API)


def test_an_untrusted_service_is_unavailable(feeding: Feeding):
    """A service whose certificate cannot be verified gets no secret."""
    with pytest.raises(Unavailable):
        feeding.connection(ca=None).keys(API)


def test_a_renewed_certificate_is_used_at_once(feeding: Feeding, tmp_path: Path):
    """The certificate in a replaced file is the one that the next request connects with and binds to."""
    file = copy_of(feeding.holder.file, tmp_path / "client.pem")
    connection = feeding.connection("bound", certificate=file)
    connection.keys(API)
    draft = make_client(tmp_path, "renewed").file
    draft.replace(file)
    assert json.loads(connection.keys(API))["expires_in"] > 0


def answers(connection: ServiceConnection) -> bool:
    """Return True unless the service refuses a token that it has just granted."""
    try:
        connection.keys(API)
    except Refused:
        return False
    return True


def test_a_revoked_token_is_replaced(feeding: Feeding):
    """A new token is obtained when the service refuses the stored one."""
    connection = feeding.connection()
    connection.keys(API)
    feeding.revoke("client", "invoices")
    wait_until(lambda: answers(feeding.connection()))  # the service has noticed, and grants tokens of use
    assert json.loads(connection.keys(API))["expires_in"] > 0


def test_a_forked_child_has_connections_of_its_own(feeding: Feeding):
    """A child process never shares a TLS connection with its parent."""
    connection = feeding.connection()
    connection.keys(API)
    child = os.fork()
    if child == 0:
        try:
            is_whole = all(json.loads(connection.keys(API)) for _ in range(20))
        except BaseException:  # noqa: BLE001 # it must not return into pytest
            is_whole = False
        os._exit(0 if is_whole else 1)
    assert all(json.loads(connection.keys(API)) for _ in range(20))
    assert os.waitpid(child, 0)[1] == 0


def test_a_kept_answer_confirms_nothing(feeding: Feeding, monkeypatch: pytest.MonkeyPatch):
    """The page that a cache before the service has kept is refused, whatever it says of itself."""
    connection = feeding.connection()
    connection.revocations("0", 0)
    exchange = connection.service.exchange
    ages = iter(["0", "3\x1b[31m"])
    monkeypatch.setattr(
        connection.service, "exchange", lambda *asked: replace(exchange(*asked), age=next(ages))
    )
    assert b'"is_last":true' in connection.revocations("0", 0)
    with pytest.raises(Unavailable, match=r"is 3\\x1b\[31m s old: let no cache"):
        connection.revocations("0", 0)


def test_unusable_settings_are_said_at_once(feeding: Feeding, tmp_path: Path):
    """A missing certificate, another kind of URL: one line at start-up."""
    with pytest.raises(SettingsError, match="does not begin with https"):
        feeding.connection(issuer="http://localhost")
    with pytest.raises(SettingsError, match="cannot read"):
        feeding.connection(certificate=tmp_path / "none.pem")


def test_an_encrypted_key_is_said(feeding: Feeding, tmp_path: Path):
    """A key with a passphrase cannot be used unattended: one line at start-up, and no prompt."""
    mine = certified()
    form = BestAvailableEncryption(b"sesame")
    replace_file(
        tmp_path / "c.pem", [mine.pem, mine.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, form)]
    )
    with pytest.raises(SettingsError, match="is encrypted: give its passphrase"):
        feeding.connection(certificate=tmp_path / "c.pem")


def test_secrets_do_not_print(feeding: Feeding):
    """The repr of a connection or of a feed shows no secret."""
    shown = repr(feeding.connection()) + repr(vars(feeding.keys())) + repr(feeding.revocations())
    assert feeding.secrets["invoices"] not in shown
