"""Device authorization (RFC 8628): a device asks, a person decides in a browser, the device gets a token."""

from functools import partial

import pytest
from msgspec.structs import replace

from macaroon_cbat.macaroon.inspection import confirmations
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.stores.grant_types import DEVICE_CODE
from tests.support.devices import PersonInBrowser, begin, poll, register_terminal
from tests.support.service import API, ISSUER, OTHER_API, SECRETS, basic, grant_of, refused

METADATA = "/.well-known/oauth-authorization-server"


@pytest.fixture
def service(service_for_people):
    register_terminal(service_for_people)
    return service_for_people


@pytest.fixture
def begun(service, certificate):
    return begin(service, certificate).json


@pytest.fixture
def ada(service):
    return PersonInBrowser(service)


def test_a_device_gets_codes(begun):
    """A device learns its code, the person's code, where to enter it, and how often to poll."""
    assert set(begun) == {
        *("device_code", "user_code", "verification_uri", "verification_uri_complete"),
        *("expires_in", "interval"),
    }
    assert begun["verification_uri"] == f"{ISSUER}/device"
    assert begun["verification_uri_complete"] == f"{ISSUER}/device?user_code={begun['user_code']}"
    assert (begun["expires_in"], begun["interval"]) == (600, 5)
    assert len(begun["device_code"]) == 22 + 1 + 43


def test_an_approved_device_gets_a_token(service, begun, ada, certificate):
    """The token is in the person's name, for the scope and audience shown, and bound to the certificate."""
    assert ada.decide(begun["user_code"]).status_code == 200
    answer = poll(service, begun["device_code"], certificate)
    assert answer.status_code == 200, answer.text
    grant = grant_of(answer.json["access_token"])
    assert (grant.sub, grant.client_id, grant.scope, grant.aud) == ("user:ada", "terminal", "read", API)
    assert confirmations(read_macaroon(answer.json["access_token"])) == {certificate.thumbprint}


def test_a_device_waits_until_the_person_decides(service, begun, certificate):
    """A poll before the decision is answered that it is pending."""
    refused(poll(service, begun["device_code"], certificate), 400, "authorization_pending")


def test_a_denied_device_gets_nothing(service, begun, ada, certificate):
    """A device that the person denied is told so at every poll, and gets no token."""
    assert "Access denied" in ada.decide(begun["user_code"], "deny").text
    for _ in range(2):
        refused(poll(service, begun["device_code"], certificate), 400, "access_denied")
        service.now += 5


def test_a_device_that_polls_too_fast_is_slowed_down(service, begun, ada, certificate):
    """A poll before the interval is over is answered slow_down, and the interval grows by 5 seconds each."""
    code = begun["device_code"]
    refused(poll(service, code, certificate), 400, "authorization_pending")
    service.now += 4
    refused(poll(service, code, certificate), 400, "slow_down")
    service.now += 9
    refused(poll(service, code, certificate), 400, "slow_down")
    ada.decide(begun["user_code"])
    service.now += 14
    refused(poll(service, code, certificate), 400, "slow_down")
    service.now += 20
    assert poll(service, code, certificate).status_code == 200


def test_a_code_is_used_once(service, begun, ada, certificate):
    """The second use of a device code gets nothing."""
    ada.decide(begun["user_code"])
    assert poll(service, begun["device_code"], certificate).status_code == 200
    refused(poll(service, begun["device_code"], certificate), 400, "invalid_grant")


@pytest.mark.parametrize("is_approved", [True, False], ids=["approved", "undecided"])
def test_a_code_expires(service, begun, ada, certificate, is_approved):
    """An expired code is answered expired_token, also if the person approved it, and later is unknown."""
    if is_approved:
        ada.decide(begun["user_code"])
    service.now += 600
    refused(poll(service, begun["device_code"], certificate), 400, "expired_token")
    assert "No device waits" in ada.enter(begun["user_code"]).text
    service.now += 300
    refused(poll(service, begun["device_code"], certificate), 400, "invalid_grant")


def test_a_code_is_bound_to_the_certificate_that_asked(service, begun, ada, other_certificate, certificate):
    """A stolen device code of a public client is of no use over another certificate, and stays usable."""
    ada.decide(begun["user_code"])
    refused(poll(service, begun["device_code"], other_certificate), 400, "invalid_grant")
    assert poll(service, begun["device_code"], certificate).status_code == 200


def test_a_code_is_of_its_client(service, begun, ada, certificate):
    """Another client cannot use the code, nor learn whose it is."""
    register_terminal(service, "other-terminal")
    ada.decide(begun["user_code"])
    answer = poll(service, begun["device_code"], certificate, client_id="other-terminal")
    assert refused(answer, 400, "invalid_grant") == "the device code was issued to another client"


WRONG = {
    "another secret": lambda code, _: code[:23] + "A" * 43,
    "the handle alone": lambda code, _: code[:22],
    "the handle and a dot": lambda code, _: code[:23],
    "the user code": lambda _, user_code: user_code,
    "nonsense": lambda *_: "x",
    "a surrogate": lambda *_: "\u00ff" * 400,
}


@pytest.mark.parametrize("forged", WRONG.values(), ids=WRONG)
def test_a_forged_code_gets_nothing(service, begun, ada, certificate, forged):
    """A device code that the service did not issue is an invalid grant."""
    ada.decide(begun["user_code"])
    code = forged(begun["device_code"], begun["user_code"])
    refused(poll(service, code, certificate), 400, "invalid_grant")


def test_a_poll_without_a_code_is_malformed(service, certificate):
    """A poll names a device code."""
    fields = {"grant_type": DEVICE_CODE, "client_id": "terminal"}
    refused(service.open("/oauth2/token", certificate, data=fields), 400, "invalid_request")


def test_no_code_is_at_rest(service, begun):
    """The database has neither code: who reads it can neither poll nor approve."""
    content = b"".join(file.read_bytes() for file in service.folder.iterdir())
    handle, _, secret = begun["device_code"].partition(".")
    assert secret.encode() not in content
    assert begun["user_code"].encode() not in content
    assert handle.encode() in content


REFUSED = {
    "an unknown client": ({"client_id": "unregistered"}, 401, "invalid_client"),
    "a client for other grants": ({"client_id": "billing"}, 401, "invalid_client"),
    "a scope that is not its own": ({"scope": "read admin"}, 400, "invalid_scope"),
    "a resource that is not its own": ({"resource": OTHER_API}, 400, "invalid_target"),
    "the service itself": ({"resource": ISSUER}, 400, "invalid_target"),
    "no client": ({"client_id": ""}, 401, "invalid_client"),
    "a secret that it lacks": ({"client_secret": "x"}, 401, "invalid_client"),
}


@pytest.mark.parametrize(("form", "status", "code"), REFUSED.values(), ids=REFUSED)
def test_a_request_beyond_the_registration_is_refused(service, certificate, form, status, code):
    """A device asks for no more than its client is registered for."""
    refused(begin(service, certificate, **form), status, code)


@pytest.mark.parametrize("scope", ["admin", "admin grants"])
def test_no_person_grants_the_use_of_the_service(service, certificate, scope):
    """A client that may administer the service cannot get a person to grant that."""
    register_terminal(service, "admin-terminal", scope="read admin grants")
    answer = begin(service, certificate, client_id="admin-terminal", scope=scope, resource=ISSUER)
    refused(answer, 400, "invalid_target")


def test_a_person_grants_the_list_of_logins(service, certificate):
    """A person may grant a client to list the person's own logins at the service."""
    register_terminal(service, "listing", scope="read grants")
    answer = begin(service, certificate, client_id="listing", scope="grants", resource=ISSUER)
    assert answer.status_code == 200


def test_a_device_stays_logged_in(service, ada, certificate, other_certificate):
    """A client that is registered for refresh tokens gets one, which is bound to its certificate as well."""
    register_terminal(service, "staying", grant_types=(DEVICE_CODE, "refresh_token"))
    begun = begin(service, certificate, client_id="staying").json
    ada.decide(begun["user_code"])
    answer = poll(service, begun["device_code"], certificate, client_id="staying").json
    form = {"grant_type": "refresh_token", "client_id": "staying", "refresh_token": answer["refresh_token"]}
    assert service.open("/oauth2/token", other_certificate, data=form).status_code == 400
    renewed = service.open("/oauth2/token", certificate, data=form)
    assert grant_of(renewed.json["access_token"]).sub == "user:ada"


def test_a_client_of_other_grants_may_not_begin(service):
    """A confidential client that is not registered for the grant is refused, though it authenticates."""
    headers = {"Authorization": basic("billing", SECRETS["billing"])}
    refused(
        service.open("/oauth2/device_authorization", data={"scope": "read"}, headers=headers),
        400,
        "unauthorized_client",
    )


def test_a_confidential_client_authenticates(service, ada):
    """A client with a secret sends it with both requests."""
    register_terminal(service, "box", token_endpoint_auth_method="client_secret_basic",
                      tls_client_certificate_bound_access_tokens=False)  # fmt: skip
    headers = {"Authorization": basic("box", SECRETS["billing"])}
    refused(begin(service, client_id="box"), 401, "invalid_client")
    begun = service.open("/oauth2/device_authorization", data={"resource": API}, headers=headers).json
    ada.decide(begun["user_code"])
    fields = {"grant_type": DEVICE_CODE, "device_code": begun["device_code"]}
    refused(service.open("/oauth2/token", data=fields | {"client_id": "box"}), 401, "invalid_client")
    assert service.open("/oauth2/token", data=fields, headers=headers).status_code == 200


def lose_scope(service):
    write_only = partial(replace, scope="write")
    service.stores.clients.change("terminal", write_only, lambda: service.now, lasting=86_400)


def revoke(service, kind, name):
    service.stores.clients.revoke_tokens(
        kind, name, lambda: service.now, lasting=86_400, is_registered=kind == "client"
    )


ENDS = {
    "client": lambda service: revoke(service, "client", "terminal"),
    "person": lambda service: revoke(service, "subject", "user:ada"),
    "scope of the client": lose_scope,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_an_approval_ends_with_its_client_and_person(service, begun, ada, certificate, end):
    """An approval gives no token once the client or the person was revoked, or the client lost a right."""
    ada.decide(begun["user_code"])
    service.now += 1
    end(service)
    service.app.extensions["macaroon_cbat"].forget()
    refused(poll(service, begun["device_code"], certificate), 400, "invalid_grant")


def test_the_metadata_say_so(service, start):
    """Endpoint and grant type are in the metadata where people sign in, and nowhere else."""
    document = service.open(METADATA, method="GET").json
    url = f"{ISSUER}/oauth2/device_authorization"
    assert document["device_authorization_endpoint"] == url
    assert document["mtls_endpoint_aliases"]["device_authorization_endpoint"] == url
    assert DEVICE_CODE in document["grant_types_supported"]


def test_without_people_there_is_none_of_it(start, certificate):
    """A service at which no person can sign in has no endpoint, no page, no grant and no word of them."""
    service = start()
    register_terminal(service)
    document = service.open(METADATA, method="GET").json
    assert "device_authorization_endpoint" not in document
    assert DEVICE_CODE not in document["grant_types_supported"]
    refused(begin(service, certificate), 404, "not_found")
    assert service.open("/device", method="GET").status_code == 404
    refused(poll(service, "x", certificate), 400, "unsupported_grant_type")
