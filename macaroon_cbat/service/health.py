"""The health of the service, for probes."""

from typing import Literal

from flask import Flask, Response
from msgspec import Struct

from macaroon_cbat.service.http.operations import Operation, add_route
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.stores import Stores


class Health(Struct):
    """The database answers."""

    status: Literal["ok"]


HEALTH = Operation(
    method="GET",
    path="/healthz",
    label="healthz",
    summary="Learn whether the database answers",
    caller="any",
    answer=Health,
    answer_example={"status": "ok"},
)


def health_route(app: Flask, stores: Stores, root_path: str) -> None:
    """Route the health check, which answers 503 while the database is out of reach."""

    def healthz() -> Response:
        stores.root_keys.records()
        return answer(Health("ok"))

    add_route(app, HEALTH, healthz, root_path)
