"""The device flow as a library: codes that a terminal can show, and polls that are polite."""

from dataclasses import dataclass, field

import msgspec
import pytest

from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.client.device import DeviceCode, DeviceFlow
from macaroon_cbat.client.logged_in import service_of
from macaroon_cbat.client.login_file import SavedLogin
from macaroon_cbat.client.oauth_answers import read_answer
from macaroon_cbat.errors import Refused
from tests.support.client_files import Files
from tests.support.token_server import Server


@dataclass
class Wait:
    """Time as a flow sees it: it passes by waiting alone."""

    waits: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.waits.append(seconds)

    def monotonic(self) -> float:
        """Return how long was waited."""
        return sum(self.waits)


def saved(server: Server, files: Files, temper: str, **changes: object) -> SavedLogin:
    """Return a login at the issuer of this temper, which has no tokens yet."""
    usual = {"client_id": "terminal", "access_token": "", "renew_access_at": 0, "scope": "read"}
    paths = {"certificate": str(files.certificate), "key": str(files.key), "ca": str(server.ca)}
    return SavedLogin(**({"issuer": server.url(f"/{temper}")} | usual | paths | changes))  # type: ignore[arg-type]


def flow_of(server: Server, files: Files, temper: str) -> DeviceFlow:
    return DeviceFlow(
        service_of(saved(server, files, temper), 30), scope="read", resource="https://api.example"
    )


def test_a_flow_names_its_client_and_wishes(
    server: Server, files: Files, certificate: ClientCertificate
) -> None:
    """Both requests name the client, over connections with its certificate; the first says what it wants."""
    flow = flow_of(server, files, "device.granted")
    wait = Wait()
    granted = flow.wait(flow.begin(), sleep=wait.sleep, monotonic=wait.monotonic)
    first, second = server.asked("device.granted")
    assert first["form"] == {
        "client_id": ["terminal"],
        "scope": ["read"],
        "resource": ["https://api.example"],
    }
    assert second["form"]["device_code"] == ["secret"]
    assert {one["certificate"] for one in (first, second)} == {certificate.current().thumbprint}
    assert granted.refresh_token == "refresh-1"
    assert "refresh" not in repr(granted)


def test_polls_are_polite(server: Server, files: Files) -> None:
    """A flow waits as long as it is told, 5 seconds more after slow_down, twice as long after no answer."""
    temper = "device.authorization_pending.slow_down.authorization_pending.broken.granted"
    flow, wait = flow_of(server, files, temper), Wait()
    flow.wait(flow.begin(), sleep=wait.sleep, monotonic=wait.monotonic)
    assert wait.waits == [5, 5, 10, 10, 20]


@pytest.mark.parametrize("code", ["access_denied", "expired_token", "invalid_grant", "invalid_client"])
def test_a_final_answer_ends_the_flow(server: Server, files: Files, code: str) -> None:
    """Any other error than the two that ask to go on ends the flow at once."""
    flow, wait = flow_of(server, files, f"device.authorization_pending.{code}"), Wait()
    with pytest.raises(Refused) as caught:
        flow.wait(flow.begin(), sleep=wait.sleep, monotonic=wait.monotonic)
    assert caught.value.code == code
    assert wait.waits == [5, 5]


@pytest.mark.parametrize("word", ["authorization_pending", "slow_down", "broken"])
def test_a_flow_ends_with_its_code(server: Server, files: Files, word: str) -> None:
    """A flow whose code has expired asks no more, whatever the service answers."""
    flow, wait = flow_of(server, files, f"device.{word}"), Wait()
    with pytest.raises(Refused) as caught:
        flow.wait(flow.begin(), sleep=wait.sleep, monotonic=wait.monotonic)
    assert caught.value.code == "expired_token"
    assert wait.monotonic() <= 60


@pytest.mark.parametrize(
    "odd",
    [
        *("plain-uri", "script-uri", "terminal-code", "long-code"),
        *("endless-code", "hurried-code", "no-code"),
    ],
)
def test_codes_of_a_hostile_service_are_refused(server: Server, files: Files, odd: str) -> None:
    """A URI that is not https, a code that controls a terminal, and times out of bounds are refused."""
    with pytest.raises(Refused, match="does not answer as OAuth requires"):
        flow_of(server, files, f"device.{odd}").begin()


def test_a_service_without_the_endpoint_is_named(server: Server, files: Files) -> None:
    """At a service where no person can log in, the error says so."""
    with pytest.raises(Refused, match="people cannot log in at this service"):
        flow_of(server, files, "usual").begin()


def test_what_is_no_macaroon_is_not_kept(server: Server, files: Files) -> None:
    """An access token that is no macaroon ends the flow."""
    flow, wait = flow_of(server, files, "device.opaque"), Wait()
    with pytest.raises(Refused, match="granted no macaroon"):
        flow.wait(flow.begin(), sleep=wait.sleep, monotonic=wait.monotonic)


def codes_at(uri: str) -> DeviceCode:
    """Return the codes of an answer that sends the person to this URI."""
    members = {"device_code": "x", "user_code": "WDJB-MJHT", "verification_uri": uri, "expires_in": 600}
    return read_answer(200, msgspec.json.encode(members), DeviceCode, "https://as.example/device")


@pytest.mark.parametrize(
    "uri",
    [
        "https://login.bank.example@attacker.example/",
        "https://login.bank.example:443@attacker.example/",
        "https://attacker.example\\@login.bank.example/",
        "https://attacker.example/\\x",
        "https://b\u00e4nk.example/",
        "https://as.example/\x1b[2J",
        "https:///device",
        "http://as.example/device",
        "javascript:alert(1)",
    ],
)
def test_a_person_is_sent_to_no_disguised_host(uri: str) -> None:
    """A URI that a person would read as one of another host, or that is no https URL, is not shown."""
    with pytest.raises(Refused, match="does not answer as OAuth requires"):
        codes_at(uri)


@pytest.mark.parametrize(
    "uri", ["https://as.example", "https://as.example:8443/a@b?c=%5C#d", "https://[::1]:8443/device"]
)
def test_a_person_is_sent_to_a_plain_host(uri: str) -> None:
    """A URI with a name or an address as its host is shown as it came."""
    assert codes_at(uri).verification_uri == uri
