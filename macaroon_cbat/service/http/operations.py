"""Operations: the routes of the service as values, from which routing and the OpenAPI document are made."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from flask import Flask
from flask.typing import RouteCallable
from msgspec import Struct

Caller = Literal["any", "client", "grants", "registration", "keys", "revocations", "admin"]
"""Any HTTP client, an authenticated client, or a client with a bound macaroon of this service and scope.

`grants` takes either: the client for itself, or the macaroon for its subject. `registration` takes a macaroon
of registration.
"""

SHORTENED = "AgETaHR0cHM6Ly9hcy5leGFtcGxl"
"""The beginning of a token, for examples in the OpenAPI document."""


class Parameter(Struct, frozen=True):
    """A query parameter: its meaning, and the JSON schema of its values."""

    meaning: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation:
    """One method of one path; `{name}` stands for a segment of the path.

    `body` and `answer` are types whose schema msgspec knows; a form or query is read by them as well.
    `refusals` are statuses besides those of every operation of its kind. `names` are the patterns of the
    segments. `label` names the operation in metrics; METHOD PATH does where it is empty.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    summary: str
    caller: Caller
    label: str = ""
    answer: Any = None
    status: int = 200
    body: Any = None
    body_type: str = "application/json"
    query: dict[str, Parameter] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    refusals: tuple[int, ...] = ()
    example: Any = None
    answer_example: Any = None

    @property
    def name(self) -> str:
        """The operationId of the OpenAPI document."""
        words = re.findall(r"[a-z0-9]+", f"{self.method} {self.path}".lower())
        return "_".join(words)

    @property
    def rule(self) -> str:
        """The path as Flask spells it."""
        return self.path.replace("{", "<").replace("}", ">")

    @property
    def endpoint(self) -> str:
        """The name of the route in Flask and in metrics."""
        return self.label or f"{self.method} {self.rule}"

    @property
    def all_refusals(self) -> list[int]:
        """The statuses of errors: those of its kind, and its own."""
        statuses = set(self.refusals) | {503}
        if self.caller == "client":
            statuses |= {400, 401, 413, 429}
        elif self.caller != "any":
            statuses |= {400, 401, 403} | ({413} if self.method != "GET" else set())
            statuses |= {415} if self.body is not None else set()
        statuses |= {429} if self.caller == "grants" else set()
        return sorted(statuses)


def add_route(app: Flask, operation: Operation, view: RouteCallable, root_path: str) -> None:
    """Route the operation below this path to the view, which takes the segments' names as arguments."""
    app.add_url_rule(root_path + operation.rule, operation.endpoint, view, methods=[operation.method])
