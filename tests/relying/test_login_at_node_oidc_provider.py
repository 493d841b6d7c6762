"""A whole login over real TLS: the service, npm's oidc-provider as upstream, a browser and a client."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.keys import read_key_file
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.browsers import CHALLENGE, VERIFIER
from tests.support.ports import free_port
from tests.support.relying.oidc_provider import CLIENT, SECRET, WalkingBrowser, oidc_provider
from tests.support.service_process import API, Service
from tests.support.tls_servers import SECONDS, Client, make_client

CALLBACK = "http://127.0.0.1:51234/callback"
PHONE = {"client_id": "phone"}
_TOKENS = ("access_token", "refresh_token")


def test_a_person_logs_in_and_a_native_client_gets_a_bound_token(tmp_path: Path):
    """Pushed request, login at the provider, consent, code, bound token, refresh: all of it over real TLS."""
    service = Service(tmp_path / "data", free_port())
    development_certificates(service.data)
    holder = make_client(tmp_path, "holder")
    with (
        oidc_provider(service.data, f"{service.issuer}/oauth2/callback") as provider,
        service_of(service, provider, tmp_path),
        calling(service, holder) as client,
    ):
        answered = authorized(service, client)
        renewed = post(client, "token", grant_type="refresh_token", refresh_token=answered["refresh_token"])
    keys = read_key_file(service.export(tmp_path / "keys.json").read_bytes())
    access = Access(
        now=EpochSeconds(int(time.time())),
        audience=API,
        certificate=thumbprint_of(DerCertificate(holder.der)),
    )
    principals = [verify(one["access_token"], keys, access) for one in (answered, renewed)]
    assert {(one.subject, one.client_id) for one in principals} == {("user:alice@example.com", "phone")}
    log = (tmp_path / "data" / "log").read_text()
    secrets = (SECRET, VERIFIER, *(one[name] for one in (answered, renewed) for name in _TOKENS))
    assert [secret for secret in secrets if secret in log] == []


@contextmanager
def service_of(service: Service, provider: str, folder: Path) -> Iterator[None]:
    """Run the service with this provider as its upstream, and a native client."""
    (folder / "secret").write_text(SECRET)
    service.prepare()
    service.add(
        "phone",
        *("--auth", "none", "--bound", "--scope", "read", "--audience", API, "--name", "Phone"),
        *("--grant", "authorization_code", "--grant", "refresh_token"),
        *("--redirect-uri", "http://127.0.0.1/callback"),
    )
    settings = {
        "UPSTREAM_ISSUER": provider,
        "UPSTREAM_CLIENT_ID": CLIENT,
        "UPSTREAM_CLIENT_SECRET_FILE": str(folder / "secret"),
        "UPSTREAM_CA": str(service.ca),
        "UPSTREAM_SCOPES": "openid email",
        "UPSTREAM_SUBJECT": "email",
        "REQUIRE_PUSHED_REQUESTS": "1",
    }
    with service.running(**{f"MACAROON_CBAT_{name}": value for name, value in settings.items()}):
        yield


@contextmanager
def calling(service: Service, holder: Client) -> Iterator[httpx.Client]:
    """Return a client of the service over connections with the holder's certificate."""
    context = ssl.create_default_context(cafile=str(service.ca))
    context.load_cert_chain(holder.file)
    with httpx.Client(base_url=f"{service.issuer}/oauth2/", verify=context, timeout=SECONDS) as client:
        yield client


def authorized(service: Service, client: httpx.Client) -> dict[str, Any]:
    """Push a request, let a person decide, and exchange the code."""
    pushed = post(
        client,
        "par",
        response_type="code",
        redirect_uri=CALLBACK,
        state="of this request",
        code_challenge=CHALLENGE,
        code_challenge_method="S256",
    )
    browser = WalkingBrowser(service.ca)
    where = httpx.URL(
        f"{service.issuer}/oauth2/authorize", params={**PHONE, "request_uri": pushed["request_uri"]}
    )
    answer = browser.walk(str(where), CALLBACK, "alice")
    browser.close()
    assert (answer["state"], answer["iss"]) == ("of this request", service.issuer)
    return post(
        client,
        "token",
        grant_type="authorization_code",
        code=answer["code"],
        redirect_uri=CALLBACK,
        code_verifier=VERIFIER,
    )


def post(client: httpx.Client, endpoint: str, **form: str) -> dict[str, Any]:
    """Return the answer of an endpoint to the native client."""
    answer = client.post(endpoint, data=PHONE | form)
    assert answer.status_code in (200, 201), answer.text
    members: dict[str, Any] = answer.json()
    return members
