"""The discharge service: what it confirms, to whom, and what it tells of the rest."""

import json
from base64 import b64encode

import msgspec
import pytest

from macaroon_cbat.errors import NotDischarged
from macaroon_cbat.macaroon.minting import add_third_party_caveat, bind_discharge
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.service.registration.requested import REGISTRABLE
from macaroon_cbat.stores import ClientMetadata
from tests.support.bakery_caveats import discharged, encrypted, form_of
from tests.support.service import ISSUER, NOW, SECRETS, basic, client_metadata, refused
from tests.support.tokens import ACCESS, BOUND, KEYS, came_from, token

SECRET = b"r" * 24
MEMBER = "is-member-of accountants auditors"
UNREADABLE = "the caveat is not readable here"


def public_key(service) -> str:
    answer = service.open("/discharge/info", method="GET")
    assert answer.json["Version"] == 3
    key: str = answer.json["PublicKey"]
    return key


def register(service, name="member", groups=("auditors", "readers"), **changes) -> None:
    metadata: ClientMetadata = client_metadata(groups=groups, **changes)
    service.stores.clients.add(name, metadata, secret=SECRETS["billing"], now=NOW)


def texts_of(discharge):
    return [each.caveat_id_bytes.decode() for each in discharge.macaroon.caveats]


def ask(service, form, client=None, **request):
    headers = [("Authorization", basic(client, SECRETS["billing"]))] if client else []
    return service.open("/discharge", data=form, headers=headers, **request)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("identifier", [None, b"\3\0"], ids=["by itself", "beside its identifier"])
def test_a_member_of_the_group_gets_a_discharge(service, version, identifier):
    """A caveat of form 2 or 3, as the bakery writes it, is discharged for a client in one of its groups."""
    register(service)
    caveat = encrypted(MEMBER, public_key(service), version=version)
    answer = ask(service, form_of(caveat, identifier), "member")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    discharge = discharged(answer.json)
    assert discharge.macaroon.identifier_bytes == (identifier or caveat)
    assert texts_of(discharge) == ["time-before 2025-12-31T23:02:00Z"]


def test_the_discharge_verifies(service):
    """The discharge satisfies a token with this caveat, for two minutes."""
    register(service)
    caveat = encrypted(MEMBER, public_key(service), version=2, secret=b"r" * 32)
    root = add_third_party_caveat(token(BOUND), ISSUER, b"r" * 32, caveat)
    text = discharged(ask(service, form_of(caveat), "member").json).macaroon.serialize()
    principal = verify(root, KEYS, ACCESS, discharges=[bind_discharge(root, text)])
    assert (principal.expires_at, principal.declared) == (NOW + 120, ())
    other = add_third_party_caveat(token(BOUND), ISSUER, b"s" * 32, caveat)
    with pytest.raises(NotDischarged):
        verify(other, KEYS, ACCESS, discharges=[bind_discharge(other, text)])


def test_wanted_attributes_are_declared(service):
    """need-declared gets each attribute: the client, and what is not known here as empty."""
    register(service)
    caveat = encrypted(f"need-declared client,email {MEMBER}", public_key(service), prefix="http")
    answer = ask(service, form_of(caveat), "member").json
    assert texts_of(discharged(answer)) == [
        "http:time-before 2025-12-31T23:02:00Z",
        "http:declared client member",
        "http:declared email ",
    ]
    assert answer["Macaroon"]["ns"] == "std:http"


def test_the_public_key_is_shown_to_older_clients(service):
    """/publickey shows the same key."""
    assert service.open("/publickey", method="GET").json == {"PublicKey": public_key(service)}


def test_keys_follow_the_root_keys(service):
    """A rotation changes the public key; caveats for the old one are discharged until it retires."""
    register(service)
    before = public_key(service)
    caveat = encrypted(MEMBER, before)
    service.stores.root_keys.rotate(NOW)
    service.app.extensions["macaroon_cbat"].root_keys.forget()
    assert public_key(service) != before
    assert ask(service, form_of(caveat), "member").status_code == 200
    old = service.stores.root_keys.records()[0].kid
    service.stores.root_keys.retire(old, NOW)
    service.app.extensions["macaroon_cbat"].root_keys.forget()
    assert UNREADABLE in refused_in_both(ask(service, form_of(caveat), "member"), 400, "invalid_request")


def refused_in_both(answer, status, error, code="bad request"):
    """Check that this is one refusal in our words and in the bakery's; return the description."""
    assert (answer.status_code, answer.json["error"], answer.json["Code"]) == (status, error, code), (
        answer.text
    )
    assert answer.json["Message"] == answer.json["error_description"]
    assert answer.headers["Content-Type"] == "application/json"
    description: str = answer.json["error_description"]
    return description


def test_others_get_no_discharge(service):
    """A client in no such group, one that is unknown, public, or proves nothing is refused."""
    register(service, groups=("Auditors", "account"))
    register(service, "outsider", groups=())
    caveat = form_of(encrypted(MEMBER, public_key(service)))
    denied = {
        refused_in_both(ask(service, caveat, name), 403, "access_denied", "permission denied")
        for name in ("member", "outsider")
    }
    assert denied == {"the condition of the caveat is not met"}
    for form in (
        caveat,
        caveat | {"client_id": "member"},
        caveat | {"client_id": "member", "client_secret": "x" * 20},
    ):
        refused_in_both(ask(service, form), 401, "invalid_client", "permission denied")


def test_guessing_a_secret_is_limited(service):
    """Wrong secrets of a client lock it for the address, here as at the token endpoint."""
    register(service)
    caveat = form_of(encrypted(MEMBER, public_key(service)))
    forms = [caveat | {"client_id": "member", "client_secret": f"{number}" * 20} for number in range(12)]
    client, environ = service.app.test_client(), came_from("192.0.2.7")
    answers = [client.post("/discharge", data=form, environ_overrides=environ) for form in forms]
    assert (answers[0].status_code, answers[-1].status_code) == (401, 429)
    assert answers[-1].json["Code"] == "bad request"


def test_a_group_is_taken_back_at_once(service):
    """A client that has left the group gets no further discharge."""
    register(service)
    caveat = form_of(encrypted(MEMBER, public_key(service)))
    assert ask(service, caveat, "member").status_code == 200
    without = lambda metadata: msgspec.structs.replace(metadata, groups=())  # noqa: E731
    service.stores.clients.change("member", without, lambda: NOW, lasting=600)
    service.app.extensions["macaroon_cbat"].clients.forget()
    assert ask(service, caveat, "member").status_code == 403


FOREIGN = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="


def damaged(caveat: bytes, at: int) -> bytes:
    return caveat[:at] + bytes((caveat[at] ^ 1,)) + caveat[at + 1 :]


UNREADABLE_CAVEATS = {
    "for another key": lambda _: encrypted(MEMBER, FOREIGN),
    "for another key under our prefix": lambda key: (
        (key[:0] and b"") or encrypted(MEMBER, FOREIGN)[:1] + b"...."
    ),
    "in form 1": lambda key: encrypted(MEMBER, key, version=1),
    "of another version": lambda key: b"\4" + encrypted(MEMBER, key)[1:],
    "as the other form": lambda key: b"\2" + encrypted(MEMBER, key, version=3)[1:],
    "with another sender": lambda key: damaged(encrypted(MEMBER, key), 10),
    "with a sender of zeros": lambda key: (
        encrypted(MEMBER, key)[:5] + bytes(32) + encrypted(MEMBER, key)[37:]
    ),
    "with another nonce": lambda key: damaged(encrypted(MEMBER, key), 40),
    "with a damaged box": lambda key: damaged(encrypted(MEMBER, key), 80),
    "truncated": lambda key: encrypted(MEMBER, key)[:-1],
    "its head alone": lambda key: encrypted(MEMBER, key)[:61],
    "one byte": lambda _: b"\3",
    "with a short key": lambda key: encrypted(MEMBER, key, secret=b"r" * 15),
    "with a long key": lambda key: encrypted(MEMBER, key, secret=b"r" * 65),
    "with an empty key": lambda key: encrypted(MEMBER, key, secret=b""),
    "with a condition that does not print": lambda key: encrypted("is-member-of a\x1b[2J", key),
    "with a mark that turns text round": lambda key: encrypted("user-approves user:a \u202epay", key),
    "with an empty condition": lambda key: encrypted(" ", key),
    "too long": lambda key: encrypted(MEMBER + " x" * 2000, key),
}


@pytest.mark.parametrize("make", UNREADABLE_CAVEATS.values(), ids=UNREADABLE_CAVEATS)
def test_what_is_not_readable_gets_one_answer(service, make):
    """A caveat that is not for this service, or damaged, is refused in one sentence: there is no oracle."""
    register(service)
    answer = ask(service, form_of(make(public_key(service))), "member")
    assert refused_in_both(answer, 400, "invalid_request").startswith(UNREADABLE)


@pytest.mark.parametrize(
    "condition",
    [
        *(
            "is-member-of",
            "is-member-of ",
            "is-member-of a  b",
            "is-member-of " + "a " * 16 + "a",
            "is-member-of \u00e9",
        ),
        *(
            "user-approves",
            "user-approves user:ada",
            "user-approves user:ada  ",
            "user-approves  text",
            "true",
        ),
        *(
            "need-declared is-member-of auditors",
            "need-declared a,,b is-member-of auditors",
            "IS-MEMBER-OF auditors",
        ),
        *(f"user-approves user:ada {'x' * 1001}", "need-declared a need-declared b is-member-of auditors"),
    ],
)
def test_an_unknown_condition_is_refused(service, condition):
    """A condition that this service does not know, or that is not whole, is never taken for met."""
    register(service)
    answer = ask(service, form_of(encrypted(condition, public_key(service))), "member")
    assert refused_in_both(answer, 400, "invalid_request").startswith("the condition is unknown")


BAD_FORMS = {
    "no identifier": {"caveat64": "AA"},
    "an empty one": {"id": ""},
    "two": {"id": "x", "id64": "eA"},
    "no base64": {"id64": "*"},
    "a payload that is no base64": {"id": "x", "caveat64": "*"},
    "a long identifier": {"id": "x" * 4097},
    "a long payload": {"id": "x", "caveat64": b64encode(b"x" * 4097).decode()},
    "a token of another kind": {"id": "x", "token": "x", "token-kind": "macaroon"},
    "a token of no kind": {"id": "x", "token": "x"},
    "two tokens": {"id": "x", "token": "x", "token64": "eA", "token-kind": "approval"},
    "a long token": {"id": "x", "token": "x" * 129, "token-kind": "approval"},
}


@pytest.mark.parametrize("form", BAD_FORMS.values(), ids=BAD_FORMS)
def test_a_bad_form_is_refused(service, form):
    """A form that lacks a parameter, repeats one in two spellings, or is too long is a bad request."""
    refused_in_both(ask(service, form), 400, "invalid_request")


def test_repeated_parameters_and_queries_are_refused(service):
    """A parameter comes once, in the body of a form."""
    refused_in_both(ask(service, {"id": ["x", "y"]}), 400, "invalid_request")
    refused_in_both(ask(service, {"id": "x"}, query_string="a=b"), 400, "invalid_request")
    refused_in_both(service.open("/discharge", json={"id": "x"}), 400, "invalid_request")


def test_without_people_no_person_approves(service):
    """An approval is not met without a way to sign in: there is no page, and nothing waits."""
    caveat = encrypted("user-approves user:ada Pay 7 EUR", public_key(service))
    refused_in_both(ask(service, form_of(caveat)), 403, "access_denied", "permission denied")
    refused(service.open("/discharge/approve", method="GET"), 404, "not_found")
    refused(service.open("/discharge/wait?secret=x", method="GET"), 404, "not_found")


def test_discharges_and_refusals_are_audited(audited, file):
    """Each discharge is one line with client and condition, each refusal one line with its reason."""
    register(audited)
    register(audited, "outsider", groups=())
    caveat = form_of(encrypted(MEMBER, public_key(audited)))
    file.write_text("")
    ask(audited, caveat, "member")
    ask(audited, caveat, "outsider")
    ask(audited, form_of(encrypted(MEMBER, FOREIGN)))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["discharge.minted", "request.refused", "request.refused"]
    assert (lines[0]["who"], lines[0]["client_id"], lines[0]["reason"]) == ("member", "member", MEMBER)
    assert (lines[1]["who"], lines[1]["error"]) == ("outsider", "access_denied")
    assert "another public key" in lines[2]["reason"]


def test_no_discharge_without_its_audit_line(audited, file):
    """A discharge that cannot be audited is not given out."""
    register(audited)
    caveat = form_of(encrypted(MEMBER, public_key(audited)))
    file.unlink()
    file.mkdir()
    assert ask(audited, caveat, "member").status_code == 503


def test_the_metadata_names_the_endpoint(service):
    """The metadata of the service has the endpoint, which is below the location of caveats."""
    document = service.open("/.well-known/oauth-authorization-server", method="GET").json
    assert document["macaroon_discharge_endpoint"] == f"{ISSUER}/discharge"


def test_no_client_registers_itself_into_a_group():
    """A registration of a client's own never sets its groups: the operator alone does (RFC 7591)."""
    assert "groups" not in REGISTRABLE
    assert "groups" in ClientMetadata.__struct_fields__
