"""The API document says what the service does: the same routes, the same bodies, the same answers."""

from urllib.parse import urlsplit

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from macaroon_cbat.service.pages.rendering import page_routes
from tests.support.administrator import CLIENTS, KEYS, NEW, REVOCATIONS, administrator
from tests.support.resource_server import ask, register, token_for_service
from tests.support.service import API, ISSUER, SECRETS, basic

AUTOMATIC = {"HEAD", "OPTIONS"}


@pytest.fixture(params=["without people", "with people"])
def service(request, start):
    """Start a service at which people sign in, and one at which none can."""
    return request.getfixturevalue("service_for_people") if request.param == "with people" else start()


@pytest.fixture
def document(service):
    answer = service.open("/openapi.json", method="GET")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    return answer.json


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def fits(document, schema, value):
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def test_the_document_is_openapi(document):
    """A validator of OpenAPI 3.1 finds no fault with the document."""
    OpenAPIV31SpecValidator(document).validate()
    assert document["openapi"] == "3.1.0"
    assert document["servers"] == [{"url": ISSUER}]


def test_routes_and_document_agree(service, document):
    """Every route with every method but those of pages is in the document, and nothing else is."""
    pages = page_routes(service.app)
    routed = {
        (method, rule.rule.replace("<", "{").replace(">", "}"))
        for rule in service.app.url_map.iter_rules()
        for method in rule.methods - AUTOMATIC
        if rule.endpoint not in pages
    }
    assert {(method, path) for method, path, _ in operations(document)} == routed
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names) == len(routed)


def test_examples_fit_their_schemas(document):
    """Every body has an example, and every example fits its schema."""
    count = 0
    for _, _, operation in operations(document):
        bodies = operation.get("requestBody", {}).get("content", {}).values()
        assert all("example" in body for body in bodies)
        answers = [
            content for one in operation["responses"].values() for content in one.get("content", {}).values()
        ]
        for content in [*bodies, *answers]:
            if "example" in content:
                fits(document, content["schema"], content["example"])
                count += 1
    assert count >= 15


def test_who_may_ask_is_said(service, document, certificate):
    """Without credentials an operation answers as its security says."""
    for method, path, operation in operations(document):
        names = {"client_id": "billing", "kid": "some", "family": "A" * 22, "name": "github"}
        answer = service.open(path.format(**names), certificate, method=method)
        demands = [set(one) for one in operation["security"]]
        if not demands:
            assert answer.status_code in {200, 400, 415}, path
        elif {"boundMacaroon", "mutualTLS"} in demands:
            assert (answer.status_code, answer.json["error"]) == (401, "missing_token")
        else:
            assert answer.status_code in {400, 401}
        assert str(answer.status_code) in operation["responses"], path


def test_patterns_are_javascript(document):
    r"""No pattern has Python's \Z, which means the letter Z elsewhere."""
    assert "\\Z" not in str(document)


def test_answers_fit_their_schemas(service, document, certificate):
    """The real answers of the service fit what the document says."""
    ops = administrator(service, certificate)
    register(service, "invoices", serves=(API,))
    bound, token = token_for_service(service), service.token(certificate=certificate)
    headers = {"Authorization": basic("api", SECRETS["api"])}
    secret = {"Authorization": basic("billing", SECRETS["billing"])}
    old = service.stores.root_keys.current().kid
    asked = [
        ("/oauth2/token", service.ask_token()),
        ("/oauth2/introspect", service.open("/oauth2/introspect", data={"token": token}, headers=headers)),
        ("/oauth2/revoke", service.open("/oauth2/revoke", data={"token": token}, headers=secret)),
        ("/macaroon/inspect", service.open("/macaroon/inspect", json={"macaroon": token})),
        (
            "/macaroon/restrict",
            service.open("/macaroon/restrict", json={"macaroon": token, "caveat": {"scope": "read"}}),
        ),
        ("/resource/keys", ask(service, "/resource/keys", bound, certificate)),
        ("/resource/revocations", ask(service, "/resource/revocations", bound, certificate)),
        (CLIENTS, ops("GET", CLIENTS)),
        (CLIENTS, ops("POST", CLIENTS, json=NEW)),
        (CLIENTS + "/{client_id}", ops("GET", CLIENTS + "/orders")),
        (CLIENTS + "/{client_id}", ops("PATCH", CLIENTS + "/orders", json={"serves": [API]})),
        (CLIENTS + "/{client_id}", ops("PATCH", CLIENTS + "/orders", json={"scope": None})),
        (CLIENTS + "/{client_id}", ops("PATCH", CLIENTS + "/orders", json={"serves": None})),
        (CLIENTS + "/{client_id}", ops("DELETE", CLIENTS + "/orders")),
        (CLIENTS + "/{client_id}", ops("DELETE", CLIENTS + "/orders")),
        (CLIENTS, ops("POST", CLIENTS, json={})),
        (KEYS, ops("GET", KEYS)),
        (KEYS + "/rotate", ops("POST", KEYS + "/rotate")),
        (REVOCATIONS, ops("GET", REVOCATIONS)),
        (REVOCATIONS, ops("POST", REVOCATIONS, json={"kind": "client", "value": "billing"})),
        (KEYS + "/{kid}/retire", ops("POST", f"{KEYS}/{old}/retire")),
    ]
    for path, answer in asked:
        operation = document["paths"][path][answer.request.method.lower()]
        response = operation["responses"][str(answer.status_code)]
        if "content" in response:
            fits(document, response["content"]["application/json"]["schema"], answer.json)
        else:
            assert answer.data == b""
        assert urlsplit(answer.request.url).path
