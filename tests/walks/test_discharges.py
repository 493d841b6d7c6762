"""Third-party caveats end to end over TLS: our holder, service and guard, and those of the bakery."""

from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import macaroonbakery._utils as bakery_utils
import pytest
import requests
from macaroonbakery import bakery, httpbakery

from macaroon_cbat import attenuate, confirmation
from macaroon_cbat.client import DischargeClient, discharger_key, require_discharge
from macaroon_cbat.errors import Refused, SettingsError
from macaroon_cbat.macaroon.minting import add_third_party_caveat
from tests.support.bakery_caveats import encrypted, form_of
from tests.support.bakery_discharger import BakeryDischarger, bakery_discharger
from tests.support.devices import fields_of
from tests.support.discharging import in_json
from tests.support.holders import House
from tests.support.ports import free_port
from tests.support.service_process import API, Service, process
from tests.support.sessions import LIBRARIES, session_of
from tests.support.tls_servers import Server

_WAITING = 12
APPROVAL = "user-approves user:ada Pay 7 EUR"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service at which a person signs in by a link: here it is a discharger alone."""
    data = tmp_path_factory.mktemp("people")
    service = Service(data, free_port())
    service.prepare()
    with process(
        ["tests.support.service_for_people", str(data), str(service.port)],
        data,
        service.port,
        {},
        is_killed=True,
    ):
        yield service


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BakeryDischarger]:
    with bakery_discharger(tmp_path_factory.mktemp("bakery")) as discharger:
        yield discharger


@pytest.fixture(scope="module")
def member(house: House) -> str:
    """Register a client that authenticates by its certificate, and is in a group."""
    options = ("--scope", "read", "--auth", "self_signed_tls_client_auth", "--group", "auditors")
    house.service.add("auditor", *options, "--certificate", house.holders["P-256"].file)
    return "auditor"


def approving(service: Service) -> Any:
    """Return what leads a person to a page, who signs in there and approves."""

    def visit(url: str) -> None:
        with requests.Session() as browser:
            browser.verify, browser.trust_env = str(service.ca), False
            shown = browser.get(url, headers={"Accept": "text/html"}, timeout=60)
            form = {**fields_of(shown), "decision": "approve"}
            origin = {"Origin": service.issuer, "Accept": "text/html"}
            done = browser.post(f"{service.issuer}/discharge/approve", form, headers=origin, timeout=60)
            assert "Approved" in done.text

    return visit


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_member_of_a_group_passes(house: House, guarded: Server, member: str, library: str):
    """Each library collects the discharge by itself, once, and binds it to the child of every request."""
    key = discharger_key(house.service.issuer, ca=house.service.ca)
    token = require_discharge(house.source()(), house.service.issuer, "is-member-of auditors", key)
    certificate = house.certificate()
    discharges = DischargeClient(
        [house.service.issuer], client_id=member, certificate=certificate, ca=house.service.ca
    )
    url = f"https://localhost:{guarded.port}/invoices/7"
    with session_of(library, token, certificate, guarded.folder / "ca.pem", discharges=discharges) as send:
        assert [send("GET", url).status_code for _ in range(2)] == [200, 200]
    with session_of(library, token, certificate, guarded.folder / "ca.pem") as send:
        assert send("GET", url).status_code == 401


def test_a_stranger_to_the_group_is_refused(house: House, member: str):
    """A caller that is in no such group gets no discharge, and the reason."""
    key = discharger_key(house.service.issuer, ca=house.service.ca)
    token = require_discharge(house.source()(), house.service.issuer, "is-member-of accountants", key)
    discharges = DischargeClient(
        [house.service.issuer], client_id=member, certificate=house.certificate(), ca=house.service.ca
    )
    with pytest.raises(Refused, match="the condition of the caveat is not met") as refused:
        discharges.collect(token)
    assert (refused.value.status, refused.value.code) == (403, "permission denied")


def test_a_person_approves(house: House, offline: Server, people: Service):
    """A holder leads the person to the page, waits, and passes with the approval."""
    token = require_discharge(
        house.source()(), people.issuer, APPROVAL, discharger_key(people.issuer, ca=people.ca)
    )
    discharges = DischargeClient([people.issuer], ca=people.ca, visit=approving(people))
    url, certificate = f"https://localhost:{offline.port}/invoices/7", house.certificate()
    with session_of("httpx", token, certificate, offline.folder / "ca.pem", discharges=discharges) as send:
        assert send("GET", url).status_code == 200
    with pytest.raises(Refused, match="a person has to decide: open https://localhost"):
        DischargeClient([people.issuer], ca=people.ca).collect(token)


def test_clients_that_wait_for_a_person_hold_no_thread(people: Service):
    """More clients wait than the service has threads: it mints meanwhile, and the approval ends each wait."""
    secret = people.add("billing", "--scope", "read", "--audience", API)
    with ThreadPoolExecutor(_WAITING) as pool, requests.Session() as session:
        session.verify, session.trust_env = str(people.ca), False
        key = session.get(f"{people.issuer}/discharge/info", timeout=60).json()["PublicKey"]
        form = form_of(encrypted(APPROVAL, key))
        refused = session.post(f"{people.issuer}/discharge", form, timeout=60).json()
        links = refused["Info"]["InteractionMethods"]["browser-window"]
        waiting = [
            pool.submit(requests.get, links["WaitTokenURL"], verify=str(people.ca), timeout=60)
            for _ in range(_WAITING)
        ]
        try:
            for _ in range(_WAITING):
                assert people.client("billing", secret, scope="read", resource=API)()
            assert not any(one.done() for one in waiting)
        finally:
            approving(people)(links["VisitURL"])
        assert [one.result().status_code for one in waiting] == [200] * _WAITING
        assert all(len(one.result().history) <= 1 for one in waiting)


@pytest.mark.parametrize("condition", ["ok", "nested"])
@pytest.mark.parametrize("version", [2, 3])
def test_a_discharger_of_the_bakery_is_understood(
    house: House, guarded: Server, other: BakeryDischarger, condition: str, version: int
):
    """A discharger of the bakery for Python discharges our caveats, and our guard accepts its discharges."""
    caveat = encrypted(condition, str(other.key.public_key), version=version, secret=b"r" * 32)
    token = add_third_party_caveat(house.source()(), other.url, b"r" * 32, caveat)
    discharges = DischargeClient([other.url, f"{other.url}/second"], ca=other.ca)
    url, certificate = f"https://localhost:{guarded.port}/invoices/7", house.certificate()
    with session_of("requests", token, certificate, guarded.folder / "ca.pem", discharges=discharges) as send:
        assert send("GET", url).status_code == 200


def test_the_bakery_reads_our_caveats(house: House, other: BakeryDischarger):
    """A discharger of the bakery reads the caveat that our holder encrypts, and says no in words."""
    key = discharger_key(other.url, ca=other.ca)
    for condition in ("ok", "something else"):
        token = require_discharge(house.source()(), other.url, condition, key)
        discharges = DischargeClient([other.url], ca=other.ca)
        if condition == "ok":
            assert len(discharges.collect(token)) == 1
    with pytest.raises(Refused, match="refuses the discharge: no, thank you"):
        discharges.collect(token)
    assert other.asked[-2:] == ["ok", "something else"]


def test_a_client_of_the_bakery_is_served(
    house: House, guarded: Server, people: Service, monkeypatch: pytest.MonkeyPatch
):
    """The bakery's client for Python discharges at our service, and our guard takes its header."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(people.ca))
    public_key = httpbakery.ThirdPartyLocator().third_party_info(people.issuer).public_key
    bound = attenuate(house.source()(), [confirmation(house.thumbprint("P-256"))])
    interactor = httpbakery.WebBrowserInteractor(open=approving(people))
    client = httpbakery.Client(interaction_methods=[interactor])
    caveat = encrypted(APPROVAL, str(public_key), secret=b"r" * 32)
    token = add_third_party_caveat(bound, people.issuer, b"r" * 32, caveat)
    macaroons = bakery.discharge_all(bakery.Macaroon.from_dict(in_json(token)), client.acquire_discharge)
    array = "[" + ",".join(map(bakery_utils.macaroon_to_json_string, macaroons)) + "]"
    answer = guarded.ask(
        "/invoices/7",
        guarded.context(house.holders["P-256"]),
        headers={"Macaroons": b64encode(array.encode()).decode()},
    )
    assert (answer.status, answer.json()["client_id"]) == (200, "basic")


def test_no_other_location_is_asked(house: House, other: BakeryDischarger):
    """A location that the holder does not trust is not asked, whichever holder wrote it into the token."""
    asked = len(other.asked)
    token = require_discharge(house.source()(), other.url, "ok", discharger_key(other.url, ca=other.ca))
    for locations in ([], [f"{other.url}/second"], [house.service.issuer]):
        with pytest.raises(SettingsError, match="not among the dischargers that are trusted"):
            DischargeClient(locations, ca=other.ca).collect(token)
    assert len(other.asked) == asked
