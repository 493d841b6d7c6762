"""The doors of a resource server, on the same tokens: guard in every adapter, gateway, introspection."""

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace
from pymacaroons import Macaroon

from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.gateway.decision import Gateway
from macaroon_cbat.gateway.policy_in_force import load_policy, put_in_force
from macaroon_cbat.gateway.question import HttpQuestion
from macaroon_cbat.macaroon.caveats import confirmation
from macaroon_cbat.macaroon.keys import write_key_file
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.resource.caveat_judges import CaveatJudges
from tests.support.adapters import ADAPTERS
from tests.support.discharging import FORMS, Headers, asking, discharge, saying
from tests.support.gateway_process import replace_policy
from tests.support.guarded_app import CERTIFICATE
from tests.support.resource_server import register
from tests.support.service import API, SECRETS, Service, basic

X5T = thumbprint_of(DerCertificate(CERTIFICATE))
NAMES = (b"x", b"y", b"z")
DETAILS = ('{"type":"pay","most":5}', '{"type":"pay","most":500}', '{"type":"other"}')
HARMLESS = (
    *('{"scope":"read"}', '{"exp":4102444800}', '{"aud":"https://api.example"}', '{"payment":{"most":5}}'),
    *(f'{{"cnf":{{"x5t#S256":"{X5T}"}}}}', '{ "payment" : {"most":5}, "exp":4102444800}'),
    *(f'{{"authorization_details":[{one},{DETAILS[0]}]}}' for one in DETAILS),
    f'{{"authorization_details":[{DETAILS[0]}]}}',
    '{"authorization_details":[{"type":"pay","most":6}]}',
)
REFUSED = (
    *('{"exp":1}', '{"nbf":4102444800}', '{"aud":"https://other.example"}', '{"cnf":{}}', "{}", "", "true"),
    *('{"other":1}', '{"scope":"read","scope":"read"}', '{"act":{"sub":"x"}}', '{"registration":{}}'),
    *('{"authorization_details":[]}', '{"authorization_details":[{"type":"other"}]}', '{"declared":1}'),
)
SAID = ("declared user alice", "time-before 2100-01-01T00:00:00Z", "declared user ", *HARMLESS)
NOT_SAID = ("declared user bob", "time-before 2001-01-01T00:00:00Z", "declared ", "allow read", *REFUSED)


def judge(value: Any, _: object) -> str | None:
    return None if value["most"] <= 100 else "too much"


JUDGES = {"payment": judge, "pay": judge}


@pytest.fixture
def doors(service: Service, tmp_path: Any) -> dict[str, Callable[[Headers], int]]:
    """Return each door as a function from the headers of a request to the status of its answer."""
    keys, file = service.keys(), tmp_path / "keys.json"
    file.write_bytes(write_key_file(keys))
    found: dict[str, Callable[[Headers], int]] = {}
    for name, adapter in ADAPTERS.items():
        app = adapter.make(keys=keys, caveats=JUDGES, clock=time.time)
        found[name] = lambda headers, adapter=adapter, app=app: adapter.call(app, headers=headers).status
    rules = '[[rule]]\npath = "/invoices"\nscope = "read"\n'
    places: dict[str, Any] = {"listen": {"http": "unix:x"}, "proxy": {"kind": "haproxy", "trust": ["unix"]}}
    policy = replace_policy(tmp_path, rules, audience=API, keys=str(file), **places)
    gateway = put_in_force(load_policy(policy)).gateway
    # The gateway itself has no judges.
    judging = replace(gateway, admission=replace(gateway.admission, custom=CaveatJudges(JUDGES)))
    found["gateway"] = partial(through_gateway, judging)
    return found


def through_gateway(gateway: Gateway, headers: Headers) -> int:
    fields = (("Host", "x"), ("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/invoices"))
    sent = [(name.encode(), text.encode()) for name, text in (*fields, ("Clientcertx5t", X5T), *headers)]
    connection = RawConnection(sent, address=None, is_unix_socket=True)
    answer: Any = gateway.decide(HttpQuestion(connection, "GET", "/"))
    return int(answer.status)


def some(chance: random.Random, good: tuple[str, ...], bad: tuple[str, ...]) -> list[str]:
    return [chance.choice(good if chance.random() < 0.9 else bad) for _ in range(chance.choice((0, 1, 2)))]


def request(chance: random.Random, base: str) -> tuple[str, list[str]]:
    """Return a token with caveats of every kind, and discharges that fit it more often than not."""
    macaroon = Macaroon.deserialize(base)
    for text in some(chance, HARMLESS, REFUSED):
        macaroon.add_first_party_caveat(text)
    token = attenuate(macaroon.serialize(), [confirmation(X5T)])
    asked = chance.choices(NAMES, k=chance.choice((0, 1, 1, 2)))  # now and then two of one name
    for name in asked:
        token = asking(token, name)
    discharges = []
    for name in asked:
        given = saying(token, *some(chance, SAID, NOT_SAID), name=name)
        if chance.random() < 0.1:  # a discharge that asks for another one, maybe for one in a circle
            given = discharge(token, name=name, asked=[chance.choice(NAMES)])
        discharges += [given] * chance.choice((1,) * 10 + (0, 2))
    chance.shuffle(discharges)
    return token, discharges


@pytest.mark.parametrize("seed", range(3))
def test_every_door_says_the_same(service: Service, doors: dict[str, Any], seed: int) -> None:
    """Adapters and gateway answer alike, and the service calls active what they let in, and nothing else."""
    service.now = time.time()
    settings = {"understands_caveats": True, "judged_caveats": tuple(JUDGES), "checks_certificates": True}
    register(service, "judging-api", serves=(API,), **settings)
    own = ("Authorization", basic("judging-api", SECRETS["judging-api"]))
    chance, base, seen = random.Random(seed), service.token(), set[int]()
    for _ in range(80):
        token, discharges = request(chance, base)
        headers = chance.choice(list(FORMS.values()) if discharges else [FORMS["a header each"]])(
            token, *discharges
        )
        said = {name: door(headers) for name, door in doors.items()}
        assert len({*said.values()}) == 1, (said, token, discharges)
        form = {"token": token, "client_certificate": X5T}
        asking_too = [own, *(("X-Discharge-Macaroon", one) for one in discharges)]
        answer = service.open("/oauth2/introspect", data=form, headers=asking_too).json
        assert answer["active"] == (said["gateway"] == 200), (said, token, discharges)
        seen.add(said["gateway"])
    assert seen == {200, 401}
