"""A certificate-bound token is active only where its certificate is compared (RFC 8705 3.2)."""

import pytest
from sqlalchemy import event

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.macaroon.caveats import PathPrefix, Scope, confirmation
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.databases import NOW
from tests.support.service import SECRETS, Service, client_metadata, refused

INACTIVE = {"active": False}


def ask(service: Service, token: str, client: str = "api", **form: str):
    return service.post("/oauth2/introspect", {"token": token, **form}, client)


def bound(service: Service, *thumbprints: Thumbprint) -> str:
    return attenuate(service.token(scope="read"), [confirmation(one) for one in thumbprints])


@pytest.mark.parametrize("client", ["api", "knowing-api"])
def test_a_bound_token_is_inactive_where_nothing_is_compared(service, certificate, client):
    """A bound token is inactive for a resource server that neither compares certificates nor names one."""
    assert ask(service, bound(service, certificate.thumbprint), client).json == INACTIVE


def test_a_token_that_was_minted_bound_is_inactive_too(service, certificate):
    """It makes no difference that the service has bound the token itself."""
    metadata = client_metadata(tls_client_certificate_bound_access_tokens=True)
    service.stores.clients.add("bound", metadata, secret=SECRETS["billing"], now=NOW)
    token = service.token(None, certificate, client_id="bound", client_secret=SECRETS["billing"])
    assert ask(service, token).json == INACTIVE
    named = ask(service, token, client_certificate=certificate.thumbprint).json
    assert named["cnf"] == {"x5t#S256": certificate.thumbprint}


@pytest.mark.parametrize("client", ["api", "knowing-api", "comparing-api"])
def test_who_names_the_token_s_certificate_is_told_that_it_is_active(service, certificate, client):
    """A bound token is active for who names the connection's certificate, and the answer says which."""
    token = bound(service, certificate.thumbprint)
    answer = ask(service, token, client, client_certificate=certificate.thumbprint)
    assert (answer.json["active"], answer.json["cnf"]) == (True, {"x5t#S256": certificate.thumbprint})
    assert answer.headers["Cache-Control"] == "no-store"


def test_who_promised_to_compare_is_told_what_to_compare(service, certificate):
    """A bound token is active, with its `cnf`, for a resource server that promised to compare it."""
    answer = ask(service, bound(service, certificate.thumbprint), "comparing-api").json
    assert (answer["active"], answer["cnf"]) == (True, {"x5t#S256": certificate.thumbprint})


@pytest.mark.parametrize("client", ["api", "knowing-api", "comparing-api"])
def test_another_certificate_makes_it_inactive(service, certificate, other_certificate, client):
    """A bound token is inactive over a connection with another certificate, whatever was promised."""
    token = bound(service, certificate.thumbprint)
    answer = ask(service, token, client, client_certificate=other_certificate.thumbprint)
    assert answer.json == INACTIVE


@pytest.mark.parametrize("client", ["api", "knowing-api", "comparing-api"])
@pytest.mark.parametrize("named", [0, 1, None], ids=["the first", "the second", "none"])
def test_a_token_of_two_certificates_is_never_active(service, certificate, other_certificate, client, named):
    """A token that is bound to two certificates is inactive, also for who names one of them."""
    both = (certificate.thumbprint, other_certificate.thumbprint)
    form = {} if named is None else {"client_certificate": both[named]}
    assert ask(service, bound(service, *both), client, **form).json == INACTIVE


@pytest.mark.parametrize("client", ["api", "comparing-api"])
def test_an_empty_certificate_is_none(service, certificate, client):
    """A resource server that names the empty text has named no certificate."""
    answer = ask(service, bound(service, certificate.thumbprint), client, client_certificate="").json
    assert answer["active"] is (client == "comparing-api")


@pytest.mark.parametrize("change", [str.lower, str.upper, lambda text: text[:-1], lambda text: text + "="])
def test_what_is_no_thumbprint_is_an_error(service, certificate, change):
    """A certificate is named by its exact thumbprint: 400, or inactive, for another text."""
    token = bound(service, certificate.thumbprint)
    answer = ask(service, token, "comparing-api", client_certificate=change(certificate.thumbprint))
    assert answer.json.get("active") is not True
    assert answer.status_code in (200, 400)


def test_two_certificates_in_one_question_are_an_error(service, certificate, other_certificate):
    """A question that names two certificates is refused: none of them counts."""
    one, other = certificate.thumbprint, other_certificate.thumbprint
    token = bound(service, one)
    body = f"client_id=api&client_secret={SECRETS['api']}&token={token}"
    body += f"&client_certificate={other}&client_certificate={one}"
    form = "application/x-www-form-urlencoded"
    refused(service.open("/oauth2/introspect", data=body, content_type=form), 400, "invalid_request")


def test_the_caller_s_own_certificate_names_nothing(service, certificate):
    """The certificate of the resource server's connection to the service is not the presenter's."""
    form = {"token": bound(service, certificate.thumbprint)}
    assert service.post("/oauth2/introspect", form, "api", certificate).json == INACTIVE


@pytest.mark.parametrize("client", ["api", "knowing-api", "comparing-api"])
@pytest.mark.parametrize("is_named", [False, True])
def test_an_unbound_token_is_active_as_before(service, certificate, client, is_named):
    """An unbound token is active with a certificate and without, and has no `cnf`."""
    form = {"client_certificate": certificate.thumbprint} if is_named else {}
    answer = ask(service, service.token(), client, **form).json
    assert answer["active"] is True
    assert "cnf" not in answer


def test_comparing_certificates_is_not_understanding_caveats(service, certificate):
    """Each promise is one of its own: who compares certificates does not judge caveats about requests."""
    token = attenuate(bound(service, certificate.thumbprint), [PathPrefix("/a")])
    assert ask(service, token, "comparing-api").json == INACTIVE
    assert ask(service, token, "knowing-api").json == INACTIVE
    named = {"client_certificate": certificate.thumbprint}
    assert ask(service, token, "comparing-api", **named).json == INACTIVE
    assert ask(service, token, "knowing-api", **named).json["active"] is True


def test_a_bound_child_of_less_scope_is_described_to_who_compares(service, certificate):
    """A bound token is narrowed by its other caveats as any."""
    token = attenuate(bound(service, certificate.thumbprint), [Scope("read unknown")])
    assert ask(service, token, "comparing-api").json["scope"] == "read"


@pytest.mark.usefixtures("lasting_memory")
@pytest.mark.parametrize("named", ["its own", "another one", "none"])
def test_the_database_is_asked_once(service, certificate, other_certificate, named):
    """The revocations of a token and of every certificate in question are read at one moment."""
    token = bound(service, certificate.thumbprint)
    names = {"its own": certificate.thumbprint, "another one": other_certificate.thumbprint}
    form = {} if named == "none" else {"client_certificate": names[named]}
    ask(service, token, "comparing-api", **form)  # the caller and the keys are in memory now
    asked: list[object] = []
    engine = service.app.extensions["macaroon_cbat"].database.engine
    event.listen(engine, "checkout", listener := lambda *_: asked.append(1))
    answer = ask(service, token, "comparing-api", **form)
    event.remove(engine, "checkout", listener)
    assert answer.json["active"] is (named != "another one")
    assert len(asked) == 1
