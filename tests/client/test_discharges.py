"""Discharges as a holder collects them: from whom, how many, how often, and what a discharger may answer."""

import json
import ssl
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from macaroon_cbat import Expiry
from macaroon_cbat.client import ClientCertificate, DischargeClient
from macaroon_cbat.client.dpop_holder import DpopHolder
from macaroon_cbat.client.dpop_key import DpopKey
from macaroon_cbat.client.holder import Holder
from macaroon_cbat.client.third_parties import discharger_key, read_discharger_key, require_discharge
from macaroon_cbat.errors import Refused, SettingsError, Unavailable
from macaroon_cbat.macaroon.dpop_proof import read_proof
from macaroon_cbat.macaroon.minting import add_third_party_caveat, bind_discharge, mint_discharge
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.client_files import NOW, make_token
from tests.support.discharging import in_json
from tests.support.sessions import LIBRARIES, session_of
from tests.support.silent_services import Silent, silent_service
from tests.support.token_server import Server
from tests.support.waiting_threads import wait_until_in

SECRET = b"k" * 32
Answer = tuple[int, Any]
DECIDED: Answer = (200, {"kind": "kind", "token64": b64encode(b"\xff1").decode()})
REJECTED = {"WWW-Authenticate": 'DPoP error="invalid_token"'}


@dataclass
class Scripted:
    """A discharger that answers what a test tells it to, by path and form."""

    service: Silent
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    answer: Callable[[str, dict[str, str]], Answer] = lambda *_: (200, {})

    @property
    def url(self) -> str:
        """Its location."""
        return self.service.url

    def client(self, *locations: str, **settings: Any) -> DischargeClient:
        """Return a holder's client that trusts it, and these."""
        return DischargeClient([self.url, *locations], ca=self.service.ca, **settings)

    def serve(self, _service: Silent, connection: ssl.SSLSocket) -> None:
        """Answer every request of a connection."""
        while body := self._next(connection):
            connection.sendall(body)

    def _next(self, connection: ssl.SSLSocket) -> bytes:
        head, _, content = self.service.read_whole(connection).partition(b"\r\n\r\n")
        if not head:
            return b""
        form, path = dict(parse_qsl(content.decode())), head.decode().split(" ")[1]
        self.asked.append((path, form))
        status, members = self.answer(path, form)
        data = members if isinstance(members, bytes) else json.dumps(members).encode()
        return b"HTTP/1.1 %d Status\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data)


@contextmanager
def scripted(folder: Path) -> Iterator[Scripted]:
    discharger: Scripted
    with silent_service(folder, lambda *of: discharger.serve(*of)) as service:  # noqa: PLW0108 # made later
        discharger = Scripted(service)
        yield discharger


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scripted]:
    with scripted(tmp_path_factory.mktemp("discharger")) as discharger:
        yield discharger


@pytest.fixture
def third(running: Scripted) -> Scripted:
    """Give the one discharger, which confirms everything."""
    running.asked.clear()
    running.answer = lambda _, form: (200, {"Macaroon": in_json(confirming(form))})
    return running


def confirming(form: dict[str, str], *caveats: Any) -> str:
    return mint_discharge("x", SECRET, b64decode(form["id64"]), caveats)


def asking(discharger: Scripted, name: bytes = b"x", token: str | None = None) -> str:
    return add_third_party_caveat(token or make_token(), discharger.url, SECRET, name)


def test_a_token_that_needs_none_asks_no_one(third: Scripted):
    """A token without third-party caveats has no discharges, and no discharger is asked."""
    assert third.client().collect(make_token()) == ()
    assert third.asked == []


def test_discharges_are_collected_once(third: Scripted):
    """Discharges are remembered until shortly before they end, or until they are discarded."""
    now = float(NOW)
    third.answer = lambda _, form: (200, {"Macaroon": in_json(confirming(form, Expiry(NOW + 60)))})
    client, token = third.client(clock=lambda: now), asking(third)
    assert client.collect(token) == client.collect(token)
    assert len(third.asked) == 1
    now += 50
    client.collect(token)
    assert len(third.asked) == 2
    client.discard(token)
    client.collect(token)
    client.collect(asking(third, b"y"))
    assert len(third.asked) == 4


def test_a_slow_discharger_holds_up_its_own_tokens_alone(third: Scripted, tmp_path: Path):
    """While one discharger lets a token wait, the discharges of other tokens are collected."""
    with scripted(tmp_path) as other:
        other.answer = lambda _, form: (200, {"Macaroon": in_json(confirming(form))})
        cas = tmp_path / "both.pem"
        cas.write_bytes(third.service.ca.read_bytes() + other.service.ca.read_bytes())
        client = DischargeClient([third.url, other.url], ca=cas, timeout=5)
        meanwhile: list[tuple[str, ...]] = []

        def late(_path: str, form: dict[str, str]) -> Answer:
            meanwhile.append(client.collect(asking(other)))
            return 200, {"Macaroon": in_json(confirming(form))}

        third.answer = late
        assert len(client.collect(asking(third))) == len(meanwhile) == 1


def test_a_proof_is_made_once_they_are_there(third: Scripted):
    """A holder by a DPoP key collects first: a person may decide for longer than a proof is good."""
    uri, token = "https://api.example/invoices", asking(third)
    holder = DpopHolder(token, DpopKey.generate(), third.client())

    def late(_path: str, form: dict[str, str]) -> Answer:
        holder.remember(uri, "told-meanwhile")
        return 200, {"Macaroon": in_json(confirming(form))}

    third.answer = late
    claims = read_proof((holder.prove("GET", uri).proof,)).claims
    assert claims["nonce"] == "told-meanwhile"


def test_rejected_ones_are_collected_anew(third: Scripted):
    """A holder by a DPoP key forgets discharges that were rejected, though its one token stays."""
    uri = "https://api.example/invoices"
    holder = DpopHolder(asking(third), DpopKey.generate(), third.client())
    sent = holder.prove("GET", uri)
    assert holder.again(sent, 401, REJECTED, is_replayable=True) is None
    holder.prove("GET", uri)
    assert len(third.asked) == 2


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_request_binds_them_to_its_child(
    third: Scripted, server: Server, certificate: ClientCertificate, library: str
):
    """Each library sends the discharges with every request, bound to that request's child."""
    token, url = asking(third), server.url("/echo")
    with session_of(library, token, certificate, server.ca, discharges=third.client()) as send:
        assert send("GET", server.url("/api")).status_code == 200
        first, second = (send("GET", url).json() for _ in range(2))
    for sent in (first, second):
        child = sent["authorization"].removeprefix("Bearer ")
        [plain] = third.client().collect(token)
        assert sent["HTTP_X_DISCHARGE_MACAROON"] == bind_discharge(child, plain)
    assert len([path for path, _ in third.asked if path == "/discharge"]) == 3


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_redirect_carries_them_elsewhere(
    third: Scripted, server: Server, certificate: ClientCertificate, library: str
):
    """A redirect within the origin carries the discharges, bound anew; one to another origin carries none."""
    with session_of(library, asking(third), certificate, server.ca, discharges=third.client()) as send:
        within = send("GET", server.url("/redirect"), params={"to": server.url("/api/there")})
        elsewhere = send("GET", server.url("/redirect"), params={"to": server.url("/echo", host="127.0.0.1")})
    assert within.status_code == 200
    assert elsewhere.json()["HTTP_X_DISCHARGE_MACAROON"] is None
    assert elsewhere.json()["authorization"] is None


def asks_for_more(discharger: Scripted, name: Callable[[bytes], bytes]) -> Callable[..., Answer]:
    """Return answers whose discharges each ask for another one."""

    def answer(_path: str, form: dict[str, str]) -> Answer:
        text = confirming(form)
        return 200, {"Macaroon": in_json(asking(discharger, name(b64decode(form["id64"])), text))}

    return answer


@pytest.mark.parametrize("name", [lambda name: name, lambda name: name + b"x"], ids=["itself", "another"])
def test_the_depth_is_bounded(third: Scripted, name: Callable[[bytes], bytes]):
    """A discharger whose discharges ask for ever further ones is asked four times."""
    third.answer = asks_for_more(third, name)
    with pytest.raises(SettingsError, match="deeper than 4"):
        third.client().collect(asking(third))
    assert len(third.asked) == 4


def test_the_number_is_bounded(third: Scripted):
    """A token that asks for more than 16 discharges gets none."""
    token = make_token()
    for number in range(17):
        token = asking(third, b"%d" % number, token)
    with pytest.raises(SettingsError, match="more than 16"):
        third.client().collect(token)
    assert len(third.asked) == 16


def macaroon_of(form: dict[str, str]) -> Any:
    return in_json(confirming(form))


NONSENSE: dict[str, Callable[[dict[str, str]], Any]] = {
    "no JSON": lambda _: b"<html>",
    "no object": lambda _: b"[]",
    "no macaroon": lambda _: {},
    "null": lambda _: {"Macaroon": None},
    "a number": lambda _: {"Macaroon": 7},
    "an unknown member": lambda form: {"Macaroon": {**macaroon_of(form), "x": 1}},
    "a repeated member": lambda form: (
        json.dumps({"Macaroon": macaroon_of(form)}).encode().replace(b'{"i', b'{"i":"x","i', 1)
    ),
    "version 1": lambda _: {"Macaroon": {"identifier": "x", "signature": "00" * 32}},
    "contents that are no object": lambda form: {"Macaroon": {"m": macaroon_of(form), "v": 3, "cdata": []}},
    "contents that are no base64": lambda form: {"Macaroon": {"m": macaroon_of(form), "cdata": {"*": "*"}}},
    "nested deeply": lambda _: b'{"Macaroon":' + b"[" * 20_000,
    "the discharge of another caveat": lambda _: {
        "Macaroon": in_json(mint_discharge("x", SECRET, b"another"))
    },
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_refused(third: Scripted, nonsense: Callable[[dict[str, str]], Any]):
    """An answer that is no discharge of this caveat is Refused, and remembered nowhere."""
    third.answer = lambda _, form: (200, nonsense(form))
    client, token = third.client(), asking(third)
    for _ in range(2):
        with pytest.raises(Refused, match=r"does not answer as a discharger|of another caveat"):
            client.collect(token)
    assert len(third.asked) == 2


def test_a_long_answer_is_not_read_on(third: Scripted):
    """An answer of more than 64 KB is refused."""
    third.answer = lambda *_: (200, b" " * 70_000)
    with pytest.raises(Unavailable, match="more than 65536 bytes"):
        third.client().collect(asking(third))


def window(visit: str = "https://third.example/page", wait: str = "/wait") -> Answer:
    method = {"browser-window": {"VisitURL": visit, "WaitTokenURL": wait}}
    return 401, {"Code": "interaction required", "Message": "please", "Info": {"InteractionMethods": method}}


def deciding(waits: list[Answer]) -> Callable[..., Answer]:
    """Return answers of a discharger that needs a person, whose decision comes after these waits."""

    def answer(path: str, form: dict[str, str]) -> Answer:
        if path != "/discharge":
            return waits.pop(0)
        if form.get("token-kind") == "kind" and form.get("token64") == b64encode(b"\xff1").decode():
            return 200, {"Macaroon": macaroon_of(form)}
        return window()

    return answer


def test_a_person_is_led_to_the_page(third: Scripted):
    """A holder leads the person to the page, waits as long as the discharger says, and redeems the token."""
    visited: list[str] = []
    third.answer = deciding([(303, {}), DECIDED])
    assert len(third.client(visit=visited.append).collect(asking(third))) == 1
    assert visited == ["https://third.example/page"]
    assert [path for path, _ in third.asked] == ["/discharge", "/wait", "/wait", "/discharge"]


class Renewable:
    """A source that has another token, which needs a discharge, whenever one was rejected."""

    def __init__(self, discharger: Scripted) -> None:
        self.tokens = [asking(discharger, token=make_token(number=number)) for number in range(9)]

    def __call__(self) -> str:
        """Return the first token that was not discarded."""
        return self.tokens[0]

    def discard(self, token: str) -> None:
        """Go on with the next token."""
        self.tokens.remove(token)


@pytest.mark.parametrize("renews", [False, True], ids=["one token", "renewed tokens"])
def test_rejections_lead_a_person_to_no_further_page(third: Scripted, *, renews: bool):
    """A resource server that rejects every token leads the person to one page in the time of patience."""
    now, visited = float(NOW), list[str]()
    third.answer = deciding([DECIDED] * 4)
    client = third.client(visit=visited.append, patience=300, clock=lambda: now)
    source = Renewable(third) if renews else asking(third)
    holder = DpopHolder(source, DpopKey.generate(), client)
    for _ in range(3):
        sent = holder.prove("GET", "https://api.example/invoices")
        assert holder.again(sent, 401, REJECTED, is_replayable=True) is None
    assert len(visited) == 1
    now += 300
    assert (holder.again(sent, 401, REJECTED, is_replayable=True) is not None) == renews
    holder.prove("GET", "https://api.example/invoices")
    assert len(visited) == 2


def test_nor_do_those_of_a_child_by_certificate(third: Scripted, certificate: ClientCertificate):
    """The same holds for a holder with a certificate."""
    visited: list[str] = []
    third.answer = deciding([DECIDED] * 4)
    holder = Holder(Renewable(third), certificate, third.client(visit=visited.append))
    for _ in range(3):
        assert holder.bind_anew(holder.bind("GET", "https://api.example/invoices")) is None
    assert len(visited) == 1


def test_a_refusal_is_the_answer_to_all_who_wait(third: Scripted):
    """Threads that wait for the decision of a person get the refusal, and lead to no page of their own."""
    visited: list[str] = []
    threads = 4

    def visit(url: str) -> None:
        visited.append(url)
        if len(visited) == 1:
            wait_until_in(DischargeClient.collect, threads)

    third.answer = deciding([(403, {"Code": "permission denied"})] * threads)
    client, token = third.client(visit=visit), asking(third)
    with ThreadPoolExecutor(threads) as pool:
        for failed in [pool.submit(client.collect, token) for _ in range(threads)]:
            assert isinstance(failed.exception(), Refused)
    assert len(visited) == 1
    third.answer = lambda _, form: (200, {"Macaroon": in_json(confirming(form))})
    assert len(client.collect(token)) == 1


WINDOWS = {
    "another host to wait": (window(wait="https://evil.example/wait"), "leads to another host"),
    "another port to wait": (window(wait="https://localhost:1/wait"), "leads to another host"),
    "plain HTTP to wait": (window(wait="http://localhost/wait"), "leads to another host"),
    "a page that is a script": (window(visit="javascript:alert(1)"), "no https URL"),
    "a page in the clear": (window(visit="http://third.example/"), "no https URL"),
    "a page with a command for terminals": (window(visit="https://third.example/\x1b[2J"), "no https URL"),
    "a page of a disguised host": (window(visit="https://third.example@evil.example/"), "disguised host"),
    "a page of a host that browsers read otherwise": (
        window(visit="https://third.example\\@evil.example/"),
        "disguised host",
    ),
    "a page of a host with another slash": (
        window(visit="https://third.example\u2215.evil.example/"),
        "disguised host",
    ),
    "a page that is no URL": (window(visit="https://[third"), "does not answer as a discharger"),
    "no URL to wait": (window(wait="https://[third"), "does not answer as a discharger"),
    "no page": ((401, {"Code": "interaction required"}), "refuses the discharge"),
    "another method": (
        (401, {"Code": "interaction required", "Info": {"InteractionMethods": {"agent": {}}}}),
        "refuses the discharge",
    ),
    "a refusal": ((403, {"Code": "permission denied", "Message": "no\x1b[2J"}), r"no\\x1b\[2J"),
    "an error without words": ((502, b"<html>"), "status 502"),
}


@pytest.mark.parametrize(("answer", "reason"), WINDOWS.values(), ids=WINDOWS)
def test_no_other_place_is_visited(third: Scripted, answer: Answer, reason: str):
    """A discharger leads neither the holder to another host nor the person to anything but https."""
    visited: list[str] = []
    third.answer = lambda *_: answer
    with pytest.raises(Refused, match=reason):
        third.client(visit=visited.append).collect(asking(third))
    assert visited == []


@pytest.mark.parametrize(
    "answer", [(403, {"Message": "refused"}), (200, {}), (200, {"kind": "kind", "token64": "*"}), (200, b"")]
)
def test_a_refused_or_broken_wait_ends(third: Scripted, answer: Answer):
    """A person who refuses, or a wait that ends in nonsense, ends the collection."""
    third.answer = deciding([answer])
    with pytest.raises(Refused):
        third.client(visit=lambda _: None).collect(asking(third))


def test_patience_ends(third: Scripted):
    """A wait without a decision ends with the patience of the holder."""
    third.answer = lambda path, _: window() if path == "/discharge" else (303, {})
    with pytest.raises(Refused, match="no person has decided in 0 s"):
        third.client(visit=lambda _: None, patience=0).collect(asking(third))


@pytest.mark.parametrize(
    "location",
    [
        "http://x.example",
        "ftp://x",
        "https://",
        "https://u:p@x.example",
        "https://x/?q",
        "https://x/#f",
        "x.example",
        "https://[x",
        "local",
    ],
)
def test_a_location_is_a_plain_https_url(location: str):
    """A discharger is trusted by a plain https URL alone, and none else is written into a token."""
    with pytest.raises(SettingsError, match="no plain https URL"):
        DischargeClient([location])
    with pytest.raises(SettingsError, match="no plain https URL"):
        require_discharge(make_token(), location, "ok", bytes(range(32)))


def test_a_secret_is_for_one_discharger():
    """One secret is not given to several dischargers, and none goes without a name."""
    with pytest.raises(SettingsError, match="several dischargers"):
        DischargeClient(["https://a.example", "https://b.example"], client_id="x", client_secret="s" * 20)
    with pytest.raises(SettingsError, match="without client_id"):
        DischargeClient(["https://a.example"], client_secret="s" * 20)


def test_a_slash_at_the_end_means_nothing(third: Scripted):
    """Locations are compared without a slash at their end, as the bakery does."""
    token = add_third_party_caveat(make_token(), third.url + "/", SECRET, b"x")
    assert len(DischargeClient([third.url + "/"], ca=third.service.ca).collect(token)) == 1


KEYS = {
    "no JSON": (200, b"x"),
    "no key": (200, {}),
    "no base64": (200, {"PublicKey": "*", "Version": 3}),
    "a short key": (200, {"PublicKey": "AAAA", "Version": 3}),
    "form 1 alone": (200, {"PublicKey": b64encode(bytes(32)).decode()}),
    "an error": (404, {}),
}


@pytest.mark.parametrize("answer", KEYS.values(), ids=KEYS)
def test_a_key_that_is_none_is_refused(third: Scripted, answer: Answer):
    """A discharger that shows no usable public key is Refused."""
    third.answer = lambda *_: answer
    with pytest.raises(Refused):
        discharger_key(third.url, ca=third.service.ca)


@pytest.mark.parametrize("text", ["", "*", "AAAA", b64encode(bytes(33)).decode()])
def test_a_written_key_is_checked(text: str):
    """A public key that an operator writes has 32 bytes in base64."""
    with pytest.raises(SettingsError, match="not 32 bytes in base64"):
        read_discharger_key(text)


def test_nothing_secret_prints(third: Scripted):
    """Neither client nor child shows a secret or a discharge."""
    client = third.client(client_id="x", client_secret="s" * 20)
    assert repr(client) == f"<DischargeClient of {third.url}>"
    assert read_macaroon(asking(third)).caveats
