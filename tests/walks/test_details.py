"""Details and several resources, end to end: described, asked for, minted, introspected, and judged."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, jsonify

from macaroon_cbat.resource import Guard, Introspection, current_principal
from macaroon_cbat.testing import FakeHolder, fake_keys
from tests.support.command_line import API, Served, members, out, serving

OTHER_API = "https://other.example"
TYPES = """
[payment]
description = "Pay from an account"
members = {most = "integer"}

[account]
description = "See an account"
"""
DETAILS = '[{"type":"payment","most":50},{"type":"account"}]'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run a service with two types, a client for two audiences, and their resource servers."""
    folder = tmp_path_factory.mktemp("details")
    (folder / "types.toml").write_text(TYPES)
    data = folder / "data"
    types = ("--details-type", "payment", "--details-type", "account")
    shop = ("--scope", "pay", "--audience", API, "--audience", OTHER_API, *types)
    out("client", "add", "shop", *shop, "--init", "--data", data, "--secret-file", folder / "shop.secret")
    for name, serves in (("api", API), ("other", OTHER_API)):
        knowing = ("--understands-caveats", "--judges", "payment", "--serves", serves)
        secret = ("--secret-file", folder / f"{name}.secret")
        out("client", "add", name, *knowing, "--data", data, *secret)
    with serving(data, MACAROON_CBAT_AUTHORIZATION_DETAILS=str(folder / "types.toml")) as served:
        yield served


def minted(service: Served, *options: str) -> Any:
    credentials = ("--client-id", "shop", "--client-secret-file", service.data.parent / "shop.secret")
    return members("token", "mint", *service.access, *credentials, *options)["access_token"]


def guarded(service: Served, name: str, audience: str, **caveats: Any) -> Flask:
    """Return an application that introspects, and judges payments."""
    secret: Path = service.data.parent / f"{name}.secret"
    ca = service.data / "ca.pem"
    guard = Guard(
        app := Flask(name),
        verifier=Introspection(service.issuer, audience, name, secret, ca=ca),
        clock=time.time,
        caveats=caveats,
    )

    @app.get("/pay/<int:amount>")
    @guard.require("pay")
    def pay(amount: int) -> Any:
        return jsonify(amount=amount, custom=[one.name for one in current_principal.custom])

    return app


def judge(detail: Any, access: Any) -> str | None:
    amount = int(access.target.path.rpartition("/")[2])
    return None if amount <= detail["most"] else f"{amount} is more than {detail['most']}"


def test_details_are_judged_by_the_resource_server(service, tmp_path):
    """A token with details for two resource servers lets each of them judge a payment by its own code."""
    token = minted(service, "--resource", API, "--resource", OTHER_API, "--details", DETAILS)
    (tmp_path / "certificate.pem").write_bytes((service.data / "server.pem").read_bytes())
    holder = FakeHolder(fake_keys(), certificate=(tmp_path / "certificate.pem").read_bytes())
    child = out("token", "attenuate", "--cert", tmp_path / "certificate.pem", stdin=token).strip()
    for name, audience in (("api", API), ("other", OTHER_API)):
        client = guarded(service, name, audience, payment=judge).test_client()
        statuses = [
            client.get(f"/pay/{amount}", **holder.flask(token=child)).status_code for amount in (50, 51)
        ]
        assert statuses == [200, 401]
    client = guarded(service, "api", API).test_client()
    assert client.get("/pay/1", **holder.flask(token=child)).status_code == 401
