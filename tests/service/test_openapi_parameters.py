"""Each parameter is described as the service takes it: what the document allows passes, the rest does not."""

import re

import pytest

from tests.support.administrator import CLIENTS, KEYS, REVOCATIONS, administrator
from tests.support.resource_server import ask, register, token_for_service
from tests.support.service import API, SECRETS, basic, refused

FEED, AUDIENCE_KEYS = "/resource/revocations", "/resource/keys"
FAMILIES, GRANTS = "/admin/grants", "/oauth2/grants"
KINDS = ["token", "client", "subject", "family", "key", "certificate", "all"]
PARAMETERS = {
    (FEED, "after"): (["0"], ["", "1", "x", "-1", "A.1", "a" * 16 + ".x"]),
    (FEED, "wait"): (["0", "1", "30"], ["-1", "31", "1.5", "x", "", "+1", "1e1"]),
    (AUDIENCE_KEYS, "audience"): ([API, API + "/"], ["", "x"]),
    (REVOCATIONS, "kind"): (KINDS, ["", "Token", "tokens", "x"]),
    (REVOCATIONS, "after"): (["0"], ["", "1", "x"]),
    (FAMILIES, "client_id"): (["web"], ["", "a b", "x" * 65]),
    (FAMILIES, "subject"): (["user:alice"], [""]),
    (FAMILIES, "after"): (["0"], ["", "1", "x"]),
    (GRANTS, "client_id"): (["billing"], ["", "a b"]),
    (GRANTS, "after"): (["0", "1." + "A" * 22], ["", "1", "x"]),
    (GRANTS + "/{family}", "client_id"): ([], []),  # tests/service/test_grants.py does
}
"""Values that pass, and values that do not, by path and name."""


@pytest.fixture
def document(service):
    return service.open("/openapi.json", method="GET").json


@pytest.fixture
def asking(service, certificate):
    """Return what sends a GET with a query, as a client that may."""
    ops = administrator(service, certificate)
    register(service, "invoices", serves=(API,))
    ops("POST", REVOCATIONS, json={"kind": "client", "value": "payroll"})  # a feed with news waits for none

    def send(path, query):
        if path == GRANTS:
            headers = {"Authorization": basic("billing", SECRETS["billing"])}
            return service.open(path, method="GET", headers=headers, query_string=query)
        if path in (REVOCATIONS, FAMILIES):
            return ops("GET", path, query_string=query)
        return ask(service, path, token_for_service(service), certificate, query=query)

    return send


def schema_of(document, path, name, method="get"):
    [found] = [one for one in document["paths"][path][method]["parameters"] if one["name"] == name]
    return found["schema"]


def allows(schema, value):
    """Return True if a schema of a parameter allows this text in a URL."""
    if schema["type"] == "integer":
        is_number = re.fullmatch("-?[0-9]+", value) is not None
        return is_number and schema["minimum"] <= int(value) <= schema["maximum"]
    return value in schema.get("enum", [value]) and bool(re.search(schema.get("pattern", ""), value))


def test_every_parameter_of_a_query_is_tried(document):
    """No parameter is described that these tests do not try."""
    described = {
        (path, one["name"])
        for path, methods in document["paths"].items()
        for operation in methods.values()
        for one in operation.get("parameters", [])
        if one["in"] == "query"
    }
    assert described == set(PARAMETERS)


ACCEPTED = [(path, name, value) for (path, name), (good, _) in PARAMETERS.items() for value in good]
REFUSED = [(path, name, value) for (path, name), (_, bad) in PARAMETERS.items() for value in bad]


@pytest.mark.parametrize(("path", "name", "value"), ACCEPTED)
def test_what_the_document_allows_is_accepted(document, asking, path, name, value):
    """A value that the schema allows is answered with 200."""
    assert allows(schema_of(document, path, name), value)
    assert asking(path, {name: value}).status_code == 200


@pytest.mark.parametrize(("path", "name", "value"), REFUSED)
def test_what_the_document_forbids_is_refused(document, asking, path, name, value):
    """A value outside the enumeration, range or pattern is refused; whose audience it is, no schema knows."""
    is_known_only_here = name == "audience"
    assert allows(schema_of(document, path, name), value) is is_known_only_here
    expected = (403, "access_denied") if is_known_only_here else (400, "invalid_request")
    refused(asking(path, {name: value}), *expected)


def test_the_defaults_are_those_of_the_service(document, asking):
    """A parameter that is left out is taken as its default says."""
    for path, name in ((FEED, "after"), (FEED, "wait"), (REVOCATIONS, "after")):
        default = schema_of(document, path, name)["default"]
        assert asking(path, {}).json == asking(path, {name: str(default)}).json


def test_the_enumerations_are_complete(document):
    """The kinds of revocations are enumerated where one asks for them, sends one and reads one."""
    schemas = document["components"]["schemas"]
    assert schema_of(document, REVOCATIONS, "kind")["enum"] == KINDS
    assert sorted(schemas["RevocationRequest"]["properties"]["kind"]["enum"]) == sorted(KINDS)
    assert sorted(schemas["Revocation"]["properties"]["kind"]["enum"]) == sorted(KINDS)


@pytest.mark.parametrize("name", ["billing", "a", "A.b_c~d-9", "x" * 64])
def test_a_name_of_a_client_fits_its_pattern(document, service, certificate, name):
    """A name that the service registers fits the pattern of `client_id`, in the path and in the body."""
    ops = administrator(service, certificate)
    ops("DELETE", f"{CLIENTS}/{name}")
    assert ops("POST", CLIENTS, json={"client_id": name, "serves": [API]}).status_code == 201
    assert re.search(schema_of(document, CLIENTS + "/{client_id}", "client_id")["pattern"], name)
    body = document["components"]["schemas"]["ClientRegistration"]["properties"]["client_id"]
    assert re.search(body["anyOf"][0]["pattern"], name)


@pytest.mark.parametrize("name", ["", ".a", "a b", "x" * 65, "é", "a/b"])
def test_what_the_pattern_forbids_is_no_client(document, service, certificate, name):
    """A name that the pattern of `client_id` does not allow is not registered by the service."""
    ops = administrator(service, certificate)
    assert not re.search(schema_of(document, CLIENTS + "/{client_id}", "client_id")["pattern"], name)
    answer = ops("POST", CLIENTS, json={"client_id": name, "serves": [API]})
    refused(answer, 400, "invalid_client_metadata")


def test_the_keys_fit_their_pattern(document, service, certificate):
    """The name of every root key fits the pattern of `kid`."""
    ops = administrator(service, certificate)
    pattern = schema_of(document, KEYS + "/{kid}/retire", "kid", "post")["pattern"]
    assert [bool(re.search(pattern, one["kid"])) for one in ops("GET", KEYS).json] == [True, True]
    assert [bool(re.search(pattern, text)) for text in ("", "a b", "a/b", "é")] == [False] * 4


def test_tokens_and_certificates_have_patterns(document, service, certificate):
    """The `jti` of a token and the thumbprint of a certificate fit their patterns; nothing longer does."""
    properties = document["components"]["schemas"]["IntrospectionAnswer"]["properties"]
    asked = document["components"]["schemas"]["IntrospectionForm"]["properties"]["client_certificate"]
    jti = service.introspect(service.token())["jti"]
    pattern = properties["jti"]["anyOf"][0]["pattern"]
    assert re.search(pattern, jti)
    assert not re.search(pattern, jti + "A")
    pattern = asked["anyOf"][0]["pattern"]
    assert re.search(pattern, certificate.thumbprint)
    assert not re.search(pattern, certificate.thumbprint + "=")
    thumbprint = certificate.thumbprint
    assert service.introspect(service.token(), client_certificate=thumbprint)["active"] is True


VALUES = {
    "token": "A" * 22,
    "client": "billing",
    "subject": "billing",
    "family": "A" * 22,
    "certificate": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0",
}


@pytest.mark.parametrize("kind", [*VALUES, "key", "Token", "", "audience"])
def test_a_kind_in_a_body_is_one_of_the_enumeration(document, service, certificate, kind):
    """A revocation of each kind that the document enumerates is made, and of no other."""
    ops = administrator(service, certificate)
    old = service.stores.root_keys.current().kid
    ops("POST", KEYS + "/rotate")
    answer = ops("POST", REVOCATIONS, json={"kind": kind, "value": VALUES.get(kind, old)})
    properties = document["components"]["schemas"]["RevocationRequest"]["properties"]
    assert (answer.status_code == 201) is (kind in properties["kind"]["enum"])
    assert answer.status_code in (201, 400)
