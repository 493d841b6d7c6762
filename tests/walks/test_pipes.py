"""Walks on the command line: `macaroon-cbat ... | macaroon-cbat ...`, and curl."""

import pytest

from tests.support import fork_server
from tests.support.holders import House
from tests.support.service_process import API, cli
from tests.support.tls_servers import Server


def curl(server: Server, token: str, *options: object, path: str = "/invoices/7") -> tuple[int, str]:
    """Call with curl; return status and body."""
    command = ["curl", "--silent", "--show-error", "--cacert", server.folder / "ca.pem", *options]
    command += ["--header", f"Authorization: Bearer {token}", "--write-out", "\n%{http_code}"]
    command.append(f"https://localhost:{server.port}{path}")
    done = fork_server.run(
        [str(part) for part in command], check=True, capture_output=True, text=True, timeout=60
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


@pytest.fixture(scope="module")
def token(house: House) -> str:
    """Mint on the command line, with the secret on standard input."""
    return mint(house, "basic", "--scope", "read")


def mint(house: House, name: str, *options: object) -> str:
    issuer = ("--issuer", house.service.issuer, "--cacert", house.service.ca)
    client = ("--client-id", name, "--client-secret-file", "-", "--resource", API)
    return cli("token", "mint", *issuer, *client, *options, text=house.secrets[name])


def test_a_pipe_into_curl_is_let_in(token: str, guarded: Server, house: House):
    """Minted, attenuated for a certificate and sent with curl over it, a token is let in."""
    for kind in ("P-256", "RSA", "Ed25519"):
        file = house.holders[kind].file
        child = cli("token", "attenuate", "--cert", file, "--expires-in", 60, text=token).strip()
        status, body = curl(guarded, child, "--cert", file, "--key", file)
        assert (status, '"client_id":"basic"' in body.replace(" ", "")) == (200, True)
        assert curl(guarded, child)[0] == 401
        assert curl(guarded, child, "--cert", house.holders["expired"].file)[0] == 401


def test_a_chain_of_pipes_narrows(token: str, guarded: Server, house: House):
    """Each pipe appends; what the last one forbids is forbidden, what it allows must have been allowed."""
    cert = ("--cert", house.holders["P-256"].file)
    narrowed = cli("token", "attenuate", "--method", "GET", "--ip", "127.0.0.0/8", text=token)
    target = cli("token", "attenuate", "--url", f"https://localhost:{guarded.port}/invoices/7", text=narrowed)
    child = cli("token", "attenuate", *cert, "--path", "/invoices", text=target).strip()
    assert curl(guarded, child, *cert)[0] == 200
    assert curl(guarded, child, *cert, "--request", "POST")[0] == 401
    assert curl(guarded, child, *cert, path="/invoices/8")[0] == 401
    wider = cli("token", "attenuate", "--method", "POST", text=child).strip()
    assert curl(guarded, wider, *cert, "--request", "POST")[0] == 401


def test_the_command_line_and_the_guard_agree(house: House, token: str, offline: Server):
    """`token verify` accepts and refuses what the guard does."""
    keys = offline.folder.parent / "keys.json"
    check = ("token", "verify", "--keys", keys, "--audience", API, "--scope", "read")
    child = cli("token", "attenuate", "--cert", house.holders["P-256"].file, text=token)
    assert cli(*check, "--cert", house.holders["P-256"].file, text=child).startswith("accepted: basic")
    assert "bound to certificate" in cli(*check, "--cert", house.holders["RSA"].file, text=child, status=1)
    assert "no cnf caveat" in cli(*check, "--cert", house.holders["P-256"].file, text=token, status=1)
    assert curl(offline, token.strip(), "--cert", house.holders["P-256"].file)[0] == 401


def test_a_bound_client_mints_and_calls(house: House, guarded: Server):
    """A token that is minted bound goes into curl as it is, over its own certificate only."""
    token = mint(house, "bound", "--cert", house.holders["P-256"].file).strip()
    assert curl(guarded, token, "--cert", house.holders["P-256"].file)[0] == 200
    assert curl(guarded, token)[0] == 401


def test_the_service_binds_for_who_has_no_library(house: House, token: str, guarded: Server):
    """`/macaroon/restrict` appends the thumbprint of the certificate that curl presents to it."""
    request = f'{{"macaroon": "{token.strip()}", "bind": "connection"}}'
    command = [
        "curl",
        "--silent",
        "--fail",
        "--cacert",
        house.service.ca,
        "--cert",
        house.holders["P-256"].file,
        "--json",
        request,
    ]
    command.append(f"{house.service.issuer}/macaroon/restrict")
    done = fork_server.run(
        [str(part) for part in command], check=True, capture_output=True, text=True, timeout=60
    )
    child = done.stdout.split('"')[3]
    assert curl(guarded, child, "--cert", house.holders["P-256"].file)[0] == 200
    assert curl(guarded, child)[0] == 401
