"""From a revocation to the refusal at a resource server: service, resource server and holder over mutual TLS.

In every round the holder gets a token, is let in with it, takes it back (RFC 7009) and calls on until
it is refused; the clock runs from the moment the revocation is sent.
"""

import json
import tempfile
import time
from pathlib import Path
from statistics import median

import requests
import trustme
from service import databases, running
from timing import Extent, Measure

from macaroon_cbat.client import ClientCertificate, TokenClient
from macaroon_cbat.client.requests import MacaroonAuth, certificate_session
from tests.support.ports import free_port
from tests.support.service_process import in_process

API = "https://api.example"
RESOURCE_SERVER = """
import sys
from pathlib import Path
from flask import Flask
from macaroon_cbat.resource import Guard, KeyFeed, RevocationFeed, ServiceConnection
from macaroon_cbat.tls import serve

folder, issuer, secret, port = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
service = ServiceConnection(issuer, "api", secret, certificate=folder / "api.pem", ca=folder / "ca.pem")
app = Flask("api")
guard = Guard(app, keys=KeyFeed(service, "https://api.example"), revocations=RevocationFeed(service))
app.get("/")(guard.require("read")(lambda: "in"))
serve(lambda: app, port=port, certificate=folder / "server.pem", key=folder / "server.key",
      on_ready=lambda *_: print("ready", flush=True))
"""


def delays(extent: Extent) -> list[Measure]:
    """Return the median and the worst of many rounds, on each database."""
    with tempfile.TemporaryDirectory() as name:
        lines = []
        for title, environment in databases(Path(name)).items():
            spent = _rounds(Path(name), environment, extent.refusals)
            lines += [
                Measure(f"{title}: revocation to refusal, median of {extent.refusals}", median(spent), "s"),
                Measure(f"{title}: revocation to refusal, worst of {extent.refusals}", max(spent), "s"),
            ]
        return lines


def _rounds(folder: Path, environment: dict[str, str], count: int) -> list[float]:
    for who in ("holder", "api"):
        certificate = trustme.CA().issue_cert(f"{who}@example.org")
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / f"{who}.pem")
    secrets = {
        "holder": _registered("holder", environment, "--scope", "read", "--audience", API),
        "api": _registered("api", environment, "--scope", "keys revocations", "--serves", API),
    }
    ports = free_port(), free_port()
    issuer = f"https://localhost:{ports[0]}"
    serving = ["-m", "macaroon_cbat", "serve", "--data", str(folder), "--port", str(ports[0])]
    resource_server = ["-c", RESOURCE_SERVER, str(folder), issuer, secrets["api"], str(ports[1])]
    with running(serving, **environment), running(resource_server):
        tokens = TokenClient(
            issuer=issuer,
            client_id="holder",
            client_secret=secrets["holder"],
            ca=folder / "ca.pem",
            resource=API,
        )
        with requests.Session() as revoking:
            revoking.trust_env = False  # it may name another CA
            revoking.verify = str(folder / "ca.pem")
            revoking.auth = ("holder", secrets["holder"])
            return [_round(folder, tokens, revoking, issuer, ports[1]) for _ in range(count)]


def _round(folder: Path, tokens: TokenClient, revoking: requests.Session, issuer: str, port: int) -> float:
    """Return the seconds from sending one revocation to the first refusal."""
    token = tokens()
    tokens.discard(token)  # the next round gets another one
    auth = MacaroonAuth(token, ClientCertificate(folder / "holder.pem"))
    with certificate_session(auth, folder / "ca.pem") as session:

        def status() -> int:
            return session.get(f"https://localhost:{port}/", timeout=10).status_code

        if status() != 200:
            raise RuntimeError("an honest token is refused")
        started = time.perf_counter()
        if revoking.post(f"{issuer}/oauth2/revoke", data={"token": token}, timeout=10).status_code != 200:
            raise RuntimeError("the revocation is refused")
        while status() == 200:
            time.sleep(0.001)
        return time.perf_counter() - started


def _registered(name: str, environment: dict[str, str], *options: str) -> str:
    """Register a client; return its secret."""
    added = in_process("client", "add", name, "--init", "--json", *options, environment=environment)
    secret: str = json.loads(added)["client_secret"]
    return secret
