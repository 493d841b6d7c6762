"""The OpenAPI 3.1 document of every route, made of the operations beside their views."""

from collections.abc import Sequence
from functools import cache, partial
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Flask
from msgspec import Struct

from macaroon_cbat.service import family_routes, macaroon_tools, resource_feeds
from macaroon_cbat.service.admin import operations as admin
from macaroon_cbat.service.home import HOME
from macaroon_cbat.service.http.operations import Operation, add_route
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.metadata import METADATA
from macaroon_cbat.service.oauth2 import routes as oauth2
from macaroon_cbat.service.registration import routes as registration

DOCUMENT = Operation(
    method="GET",
    path="/openapi.json",
    label="document",
    summary="Get this document",
    caller="any",
    answer=dict[str, Any],
)
OPERATIONS = (
    *oauth2.OPERATIONS,
    *macaroon_tools.OPERATIONS,
    *resource_feeds.OPERATIONS,
    *(HOME, METADATA, DOCUMENT),
    *family_routes.OPERATIONS,
    *admin.OPERATIONS,
    *registration.OPERATIONS,
)
_VERSION = "1"
_BEARER, _BASIC, _TLS = "boundMacaroon", "clientSecret", "mutualTLS"
_REGISTRATION = "registrationMacaroon"
_SECURITY_SCHEMES = {
    _BEARER: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "macaroon",
        "description": "A macaroon of this service for itself (resource=ISSUER), bound to the client "
        "certificate of the connection (RFC 8705).",
    },
    _BASIC: {
        "type": "http",
        "scheme": "basic",
        "description": "client_id and client_secret (RFC 6749 2.3.1).",
    },
    _REGISTRATION: {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "macaroon",
        "description": "An initial access macaroon (RFC 7591 1.2), or the registration access macaroon "
        "of the client (RFC 7592).",
    },
    _TLS: {"type": "mutualTLS", "description": "Any client certificate; no CA has to sign it."},
}


class Refusal(Struct):
    """An error (RFC 6749 5.2)."""

    error: str
    error_description: str


def document_route(app: Flask, base_url: str, root_path: str, others: Sequence[Operation] = ()) -> None:
    """Route the document, which is made at its first request; the arguments are as in `openapi_document`."""
    document = cache(partial(openapi_document, base_url, others))
    add_route(app, DOCUMENT, lambda: answer(document(), cacheable=True), root_path)


def openapi_document(base_url: str, others: Sequence[Operation] = ()) -> dict[str, object]:
    """Return the document; `base_url` is the URL for clients with certificates.

    `others` are operations of this service that another may lack, or describe otherwise.
    """
    operations = {(one.method, one.path): one for one in (*OPERATIONS, *others)}.values()
    shapes = [shape for operation in operations for shape in (operation.body, operation.answer)]
    shapes = [shape for shape in [*shapes, Refusal] if shape is not None]
    schemas, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(map(repr, shapes), schemas, strict=True))
    routes: dict[str, dict[str, object]] = {}
    for operation in operations:
        described_one = _operation(operation, schema_of)
        routes.setdefault(operation.path, {})[operation.method.lower()] = described_one
    document: dict[str, object] = {
        "openapi": "3.1.0",
        "info": {"title": "macaroon_cbat", "version": _VERSION, "summary": "Certificate-bound macaroons"},
        "servers": [{"url": base_url}],
        "paths": routes,
        "components": {"schemas": components, "securitySchemes": _SECURITY_SCHEMES},
    }
    return _for_other_tools(document)


def _operation(operation: Operation, schema_of: dict[str, Any]) -> dict[str, object]:
    members: dict[str, object] = {
        "summary": operation.summary,
        "operationId": operation.name,
        "security": _security(operation),
        "responses": _responses(operation, schema_of),
    }
    if parameters := [*_path_parameters(operation), *_query_parameters(operation)]:
        members["parameters"] = parameters
    if operation.body is not None:
        content = {"schema": schema_of[repr(operation.body)], "example": operation.example}
        members["requestBody"] = {"required": True, "content": {operation.body_type: content}}
    return members


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    """Return the alternative sets of security schemes; the schemes of a set go together."""
    if operation.caller == "any":
        return []
    if operation.caller == "registration":
        return [{_REGISTRATION: []}, *([{}] if operation.method == "POST" else [])]  # {}: open registration
    if operation.caller == "client":
        return [{_BASIC: []}, {_TLS: []}, {}]  # the last one: client_secret_post
    bearer: dict[str, list[str]] = {_BEARER: [operation.caller], _TLS: []}
    return [{_BASIC: []}, {_TLS: []}, bearer] if operation.caller == "grants" else [bearer]


def _responses(operation: Operation, schema_of: dict[str, Any]) -> dict[str, object]:
    responses: dict[str, object] = {}
    for status in operation.all_refusals:
        content = {"application/json": {"schema": schema_of[repr(Refusal)]}}
        responses[str(status)] = {"description": HTTPStatus(status).phrase, "content": content}
    done: dict[str, object] = {"description": HTTPStatus(operation.status).phrase}
    if operation.answer is not None:
        content = {"schema": schema_of[repr(operation.answer)]}
        if operation.answer_example is not None:
            content["example"] = msgspec.to_builtins(operation.answer_example)
        done["content"] = {"application/json": content}
    return {str(operation.status): done, **responses}


def _path_parameters(operation: Operation) -> list[dict[str, object]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}
        for name, pattern in operation.names.items()
    ]


def _query_parameters(operation: Operation) -> list[dict[str, object]]:
    return [
        {"name": name, "in": "query", "description": parameter.meaning, "schema": parameter.schema}
        for name, parameter in operation.query.items()
    ]


def _for_other_tools(document: dict[str, object]) -> dict[str, object]:
    r"""Return the document in the part of OpenAPI that client generators read.

    Patterns are those of ECMA 262, which has no \Z. `maxItems` bounds a tuple already, so `"items": false`,
    on which openapi-python-client fails, is dropped.
    """
    text = msgspec.json.encode(document).replace(rb'\\Z"', rb'$"')
    decoded: dict[str, object] = msgspec.json.decode(text)
    _drop_false_items(decoded)
    return decoded


def _drop_false_items(node: object) -> None:
    if isinstance(node, dict):
        if node.get("items") is False and node.get("maxItems") == len(node.get("prefixItems", ())):
            del node["items"]
        for member in node.values():
            _drop_false_items(member)
    elif isinstance(node, list):
        for element in node:
            _drop_false_items(element)
