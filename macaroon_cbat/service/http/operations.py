"""What a route is, as a value: its method, path, answer and guard; the API document is made of them."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from flask import Flask
from flask.typing import RouteCallable
from msgspec import Struct

Caller = Literal["anybody", "client", "keys", "revocations", "admin"]
"""Who may ask: anybody, an authenticated client, or a bound macaroon of this service with this scope."""


class Parameter(Struct, frozen=True):
    """A parameter of a query: what it means, and the JSON schema of its values."""

    meaning: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation:
    """One method of one path, `{name}` standing for a segment of the path.

    `body` and `answer` are types whose schema msgspec knows; `refusals` are the statuses that come besides
    those every operation of its kind has. `names` are the patterns of what stands in the path.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    summary: str
    caller: Caller
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
        """What the operation is called in the API document."""
        words = re.findall(r"[a-z0-9]+", f"{self.method} {self.path}".lower())
        return "_".join(words)

    @property
    def all_refusals(self) -> list[int]:
        """The statuses with which it may say no: those of its kind, and its own."""
        statuses = set(self.refusals) | {503}
        if self.caller == "client":
            statuses |= {400, 401, 413}
        elif self.caller != "anybody":
            statuses |= {400, 401, 403} | ({413} if self.method != "GET" else set())
            statuses |= {415} if self.body is not None else set()
        return sorted(statuses)


def add_route(app: Flask, operation: Operation, view: RouteCallable, root_path: str) -> None:
    """Route the operation below this path to the view, which takes the names in the path as arguments."""
    rule = operation.path.replace("{", "<").replace("}", ">")
    app.add_url_rule(root_path + rule, f"{operation.method} {rule}", view, methods=[operation.method])
