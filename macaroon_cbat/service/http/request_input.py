"""Forms, queries and JSON bodies of requests; a refusal names what is wrong and what to send."""

import json
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec
from flask import Request, request
from msgspec import Struct

from macaroon_cbat.errors import InvalidRequest, UnsupportedMediaType
from macaroon_cbat.text.json_text import plain_reason, read_json_text

Shape = TypeVar("Shape")
FormShape = TypeVar("FormShape", bound=Struct)
MERGE_PATCH = "application/merge-patch+json"
FORM = "application/x-www-form-urlencoded"
_REASON = 120  # characters: a reason may quote the name of a member, and that could be a token


class Form(Struct, frozen=True):
    """The parameters of a form: those that may come once, and the values of those that may repeat."""

    once: dict[str, str]
    several: dict[str, tuple[str, ...]]


def request_at_hand() -> Request:
    """Return the request at hand itself: Flask's `request` looks for it at every use."""
    found: Request = cast("Any", request)._get_current_object()  # noqa: SLF001 # Werkzeug documents it
    return found


def read_form(
    request: Request,
    *,
    ignored: tuple[str, ...] = (),
    several: tuple[str, ...] = (),
    binary: tuple[str, ...] = (),
) -> Form:
    """Return the form parameters of a POST body (RFC 6749 3.2).

    A parameter with an empty value, or with a name in `ignored`, is treated as absent. Raises InvalidRequest
    for another content type (RFC 6749 5.2 has no 415), for parameters in the URL, and for a repeated
    parameter that is not in `several`. Only a parameter in `binary` may hold a NUL character.
    """
    if (request.mimetype or request.content_length) and request.mimetype != FORM:
        raise InvalidRequest(
            f"the body is {(request.mimetype or 'of no content type')[:60]}: send the parameters as a form, "
            f"with Content-Type: {FORM}"
        )
    if request.query_string:
        raise InvalidRequest("the URL has parameters: send them in the request body")
    form: dict[str, str] = {}
    repeated: dict[str, list[str]] = {name: [] for name in several}
    for name, value in pairs_of(request.get_data(), "the form", binary):
        if name in ignored:
            continue
        if name in repeated:
            repeated[name].append(value)
            continue
        if name in form:
            raise InvalidRequest(f"the parameter {name[:40]} is repeated: send it once")
        form[name] = value
    return Form(
        {name: value for name, value in form.items() if value},
        {name: tuple(filter(None, values)) for name, values in repeated.items()},
    )


def fitted(form: dict[str, str], shape: type[FormShape]) -> FormShape:
    """Return the parameters of a form as this shape; others are ignored (RFC 6749 3.2).

    Raises InvalidRequest if a parameter is missing.
    """
    try:
        return msgspec.convert(form, shape)
    except msgspec.ValidationError as error:
        for one in msgspec.structs.fields(shape):
            if one.required:
                required(form, one.encode_name)
        raise InvalidRequest(f"the form does not fit: {plain_reason(error)[:_REASON]}") from error


def read_query(request: Request, *allowed: str) -> dict[str, str]:
    """Return the query parameters of a request, or raise InvalidRequest for an unknown or repeated one."""
    query: dict[str, str] = {}
    for name, value in pairs_of(request.query_string, "the query"):
        if name not in allowed:
            taken = f"this endpoint takes {', '.join(allowed)}" if allowed else "this endpoint takes none"
            raise InvalidRequest(f"the parameter {name[:40]!r} is unknown: {taken}")
        if name in query:
            raise InvalidRequest(f"the parameter {name} is repeated: send it once")
        query[name] = value
    return query


def pairs_of(encoded: bytes, name: str, binary: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Return names and values of a form or query, or raise InvalidRequest.

    Werkzeug would replace bytes that are not UTF-8, or fail.
    """
    try:
        pairs = parse_qsl(encoded.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name} is not UTF-8 text: encode it as UTF-8") from error
    if any("\0" in member + value for member, value in pairs if member not in binary):
        raise InvalidRequest(f"{name} has a NUL character: leave it out")
    return pairs


def required(form: dict[str, str], name: str) -> str:
    """Return a parameter, or raise InvalidRequest if it is missing."""
    if name not in form:
        raise InvalidRequest(f"the parameter {name} is missing: send it")
    return form[name]


def accepts_by_name(request: Request, kind: str) -> bool:
    """Return True if the caller asks for this media type; `*/*` names none."""
    return any(named == kind and quality > 0 for named, quality in request.accept_mimetypes)


def refuse_body(request: Request) -> None:
    """Raise InvalidRequest for a body that this endpoint would ignore."""
    if request.get_data():
        raise InvalidRequest("the request has a body: send none to this endpoint")


def read_json(request: Request, shape: type[Shape], also: str = "application/json") -> Shape:
    """Return the JSON body, whose type may `also` be another, as this msgspec shape.

    Raises UnsupportedMediaType for another content type, and InvalidRequest that names what does not fit.
    """
    if request.mimetype not in ("application/json", also):
        raise UnsupportedMediaType("the body is not declared as JSON: send Content-Type: application/json")
    try:
        body = request.get_data()
        read = read_json_text(body, shape)
        json.loads(body.decode(), object_pairs_hook=_refuse_repeated)
    except ValueError as error:
        raise InvalidRequest(f"the JSON body does not fit: {plain_reason(error)[:_REASON]}") from error
    except RecursionError:
        raise InvalidRequest("the JSON body is nested too deeply: send a flat object") from None
    return read


def _refuse_repeated(pairs: list[tuple[str, object]]) -> None:
    """Raise ValueError if an object repeats a key: msgspec would silently take the last value."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a key is repeated")
