"""Read what a request carries, or say precisely what is wrong with it."""

import json
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from flask import Request
from msgspec import Struct

from macaroon_cbat.errors import InvalidRequest, UnsupportedMediaType
from macaroon_cbat.text.json_text import plain_reason, read_json_text

Shape = TypeVar("Shape")
FormShape = TypeVar("FormShape", bound=Struct)
FORM = "application/x-www-form-urlencoded"
_REASON = 120  # characters: a reason may quote the name of a member, and that could be a token


class Form(Struct, frozen=True):
    """The parameters of a form: those that come once, and the values of those that may come several times."""

    once: dict[str, str]
    several: dict[str, tuple[str, ...]]


def read_form(request: Request, *, ignored: tuple[str, ...] = (), several: tuple[str, ...] = ()) -> Form:
    """Return the form parameters of a POST body (RFC 6749 3.2); the query string never counts.

    An empty value is as if the parameter were absent, and so is every value of an `ignored` one.
    Raises InvalidRequest for another content type (RFC 6749 5.2 has no 415), and for parameters that stand in
    the URL or repeat, unless they are among `several`.
    """
    if (request.mimetype or request.content_length) and request.mimetype != FORM:
        raise InvalidRequest(
            f"the body is {(request.mimetype or 'of no content type')[:60]}: send the parameters as a form, "
            f"with Content-Type: {FORM}"
        )
    if request.query_string:
        raise InvalidRequest("parameters belong into the request body, not into the URL")
    form: dict[str, str] = {}
    repeated: dict[str, list[str]] = {name: [] for name in several}
    for name, value in _pairs(request.get_data(), "the form"):
        if name in ignored:
            continue
        if name in repeated:
            repeated[name].append(value)
            continue
        if name in form:
            raise InvalidRequest(f"the parameter {name[:40]} is repeated")
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


def read_query(request: Request, *known: str) -> dict[str, str]:
    """Return the query parameters of a GET, or raise InvalidRequest for one that is unknown or repeated."""
    query: dict[str, str] = {}
    for name, value in _pairs(request.query_string, "the query"):
        if name not in known:
            raise InvalidRequest(f"unknown parameter {name[:40]!r}: this takes {', '.join(known) or 'none'}")
        if name in query:
            raise InvalidRequest(f"the parameter {name} is repeated")
        query[name] = value
    return query


def _pairs(encoded: bytes, name: str) -> list[tuple[str, str]]:
    """Return names and values; Werkzeug would turn what is not UTF-8 into some other text, or fail."""
    try:
        pairs = parse_qsl(encoded.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name} is not UTF-8 text") from error
    if any("\0" in member + value for member, value in pairs):
        raise InvalidRequest(f"{name} is not UTF-8 text without NUL")
    return pairs


def required(form: dict[str, str], name: str) -> str:
    """Return a parameter, or raise InvalidRequest that names it."""
    if name not in form:
        raise InvalidRequest(f"the parameter {name} is missing")
    return form[name]


def refuse_body(request: Request) -> None:
    """Raise InvalidRequest for a body where none is read: it says something that nobody would do."""
    if request.get_data():
        raise InvalidRequest("send no body: this takes none")


def read_json(request: Request, shape: type[Shape]) -> Shape:
    """Return the JSON body as this msgspec shape, or raise InvalidRequest that says where it differs."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("send Content-Type: application/json")
    try:
        body = request.get_data()
        read = read_json_text(body, shape)
        json.loads(body.decode(), object_pairs_hook=_refuse_repeated)
    except ValueError as error:
        raise InvalidRequest(f"the JSON body does not fit: {plain_reason(error)[:_REASON]}") from error
    except RecursionError:
        raise InvalidRequest("the JSON body is nested too deeply") from None
    return read


def _refuse_repeated(pairs: list[tuple[str, object]]) -> None:
    """Raise ValueError when an object has a key twice, of which msgspec would silently take the last."""
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a key is repeated")
