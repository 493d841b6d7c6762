"""Ingress controllers whose header names are fixed: real nginx and HAProxy, set up as their templates do."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.certificate_spellings import SPELLINGS
from tests.support.ports import free_port
from tests.support.proxies.certificates import World
from tests.support.proxies.clients import Ask, Reply, send, tls_context
from tests.support.proxies.judgements import bearer
from tests.support.proxies.processes import NGINX as MAIN
from tests.support.proxies.processes import binary_of, process, wait_for_port
from tests.support.proxies.upstreams import guarded_upstream

SECRET = "known-to-ingress-and-server"
INGRESS = """\
    server {{
        listen 127.0.0.1:{tls} ssl;
        listen 127.0.0.1:{clear};
        ssl_certificate {certificate};
        ssl_certificate_key {certificate};
        ssl_client_certificate {ca};
        ssl_verify_client optional_no_ca;
        ssl_verify_depth 1;
        location / {{
            {annotated}
            proxy_set_header Proxysecret {secret};
            proxy_set_header Host $host;
            proxy_http_version 1.1;
            proxy_pass http://127.0.0.1:{behind};
        }}
    }}
"""
NGINX = MAIN.replace("    include {folder}/nginx.conf;\n", INGRESS)
ANNOTATED = """\
proxy_set_header ssl-client-cert $ssl_client_escaped_cert;
proxy_set_header ssl-client-verify $ssl_client_verify;
proxy_set_header ssl-client-subject-dn $ssl_client_s_dn;
proxy_set_header ssl-client-issuer-dn $ssl_client_i_dn;"""
"""The lines that the controller writes for an Ingress with auth-tls-pass-certificate-to-upstream."""
HAPROXY = """\
global
    tune.bufsize 32768
    tune.maxrewrite 8192
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend fe_sni
    bind 127.0.0.1:{tls} ssl crt {certificate} verify optional ca-file {ca}
    http-request set-header X-SSL %[ssl_fc]
    http-request set-header X-SSL-Client-Verify %[ssl_c_verify]
    http-request set-header X-SSL-Client-DN %{{+Q}}[ssl_c_s_dn]
    http-request set-header X-SSL-Client-DER %{{+Q}}[ssl_c_der,base64]
    http-request set-header Proxysecret {secret}
    default_backend behind
backend behind
    server one 127.0.0.1:{behind}
"""


@dataclass
class Ingress:
    """A running ingress controller before a server that guards itself."""

    name: str
    tls: int
    clear: int
    world: World

    def ask(self, kind: str | None, *spoofs: tuple[str, str], in_the_clear: bool = False) -> Reply:
        """Send a request with the token of the CA-signed holder, over a connection of this kind."""
        client = None if kind is None else self.world.holders[kind]
        ask = Ask(headers=(*bearer(self.world.bound("CA-signed")), *spoofs), client=client)
        if in_the_clear:
            return send(self.clear, ask, None)[0]
        return send(self.tls, ask, tls_context(self.world.ca, client))[0]


@contextmanager
def running(
    name: str, template: str, world: World, folder: Path, annotated: str = ANNOTATED
) -> Iterator[Ingress]:
    with guarded_upstream(name, SECRET) as behind:
        ingress = Ingress(name, free_port(), free_port(), world)
        (folder / "conf").write_text(
            template.format(
                folder=folder, tls=ingress.tls, clear=ingress.clear, behind=behind, annotated=annotated,
                secret=SECRET, certificate=world.folder / "server.pem", ca=world.folder / "client-ca.pem",
                user="user root;" if os.getuid() == 0 else "",
            )
        )  # fmt: skip
        options = ["-e", f"{folder}/log", "-p", str(folder), "-c"] if template is NGINX else ["-db", "-f"]
        tool = binary_of("nginx" if template is NGINX else "haproxy")
        with process([tool, *options, f"{folder}/conf"], folder) as started:
            wait_for_port(ingress.tls, started, folder)
            yield ingress


KINDS = {"ingress-nginx": NGINX, "openshift": HAPROXY}


@pytest.fixture(scope="module", params=KINDS)
def ingress(
    request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ingress]:
    folder = tmp_path_factory.mktemp("ingress")
    with running(request.param, KINDS[request.param], world, folder) as one:
        yield one


def spoof_of(name: str, world: World) -> tuple[tuple[str, str], ...]:
    """Return the headers of the format as a client could write them, with a holder's certificate."""
    headers = {
        "ingress-nginx": ("ssl-client-cert", "ssl-client-verify"),
        "openshift": ("X-SSL-Client-DER", "X-SSL-Client-Verify"),
    }
    der = world.holders["CA-signed"].der
    return tuple(zip(headers[name], SPELLINGS[name](der), strict=True))


def test_a_holder_is_let_in(ingress: Ingress) -> None:
    """Behind the controller a holder of a certificate-bound token is let in."""
    assert ingress.ask("CA-signed").outcome == "200"


def test_a_token_without_its_certificate_is_refused(ingress: Ingress) -> None:
    """A stolen token without a certificate is refused, though a client writes the controller's headers."""
    assert ingress.ask(None).outcome == "401"
    assert ingress.ask(None, *spoof_of(ingress.name, ingress.world)).outcome == "401"


def test_a_thief_is_refused(ingress: Ingress) -> None:
    """A stolen token over a connection with another certificate is refused, whatever headers come with it."""
    other = "self-signed" if ingress.name == "ingress-nginx" else None
    assert ingress.ask(other, *spoof_of(ingress.name, ingress.world)).outcome == "401"


@pytest.mark.parametrize("kind", ["self-signed", "CA-signed"])
def test_any_certificate_will_do(kind: str, world: World, tmp_path: Path) -> None:
    """With auth-tls-verify-client: optional_no_ca a self-signed certificate is a holder's as well."""
    with running("ingress-nginx", NGINX, world, tmp_path) as one:
        client = world.holders[kind]
        ask = Ask(headers=bearer(world.bound(kind)), client=client)
        assert send(one.tls, ask, tls_context(world.ca, client))[0].outcome == "200"


def test_on_the_plain_port_nothing_is_said(world: World, tmp_path: Path) -> None:
    """Without TLS nginx says nothing, and overwrites what a client wrote: 503, never the client's word."""
    with running("ingress-nginx", NGINX, world, tmp_path) as one:
        spoofs = spoof_of("ingress-nginx", world)
        assert one.ask(None, *spoofs, in_the_clear=True).outcome == "503"


WITHOUT_CERTIFICATE = ANNOTATED.replace("proxy_set_header ssl-client-cert $ssl_client_escaped_cert;", "")


def test_an_ingress_that_sends_no_certificate_is_misconfigured(world: World, tmp_path: Path) -> None:
    """Without auth-tls-pass-certificate-to-upstream the answer to a holder is 503, not 401."""
    with running("ingress-nginx", NGINX, world, tmp_path, WITHOUT_CERTIFICATE) as one:
        assert one.ask("CA-signed").outcome == "503"
