"""The metadata document (RFC 9728), which every challenge names, from the gateway itself."""

import json
from pathlib import Path

from tests.core.material import API, ISSUER
from tests.gateway.running import NOBODY, free_port, gateway

PATH = "/.well-known/oauth-protected-resource"


def test_the_document_says_what_is_enforced(tmp_path: Path):
    """A proxy that routes the document's path here gets it, with no principal to copy."""
    with gateway(tmp_path) as running:
        answer = running.ask({}, target=PATH)
        assert (answer.status, answer.principal) == (200, NOBODY)
        assert json.loads(answer.body) == {
            "resource": API,
            "authorization_servers": [ISSUER],
            "scopes_supported": ["read", "root", "write"],
            "bearer_methods_supported": ["header"],
            "tls_client_certificate_bound_access_tokens": True,
        }
        challenge = running.ask({"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/"}).headers[
            "WWW-Authenticate"
        ]
        assert f'resource_metadata="{API}{PATH}"' in challenge


def test_a_question_is_never_taken_for_a_reader(tmp_path: Path):
    """Where a proxy asks about a request, the path that it asks under opens nothing."""
    with gateway(tmp_path) as running:
        about = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/invoices", "Clientcertverify": "NONE"}
        assert running.ask(about, target=PATH).status == 401
        assert running.ask({"X-Forwarded-Method": "GET"}, target=PATH).status == 503
        assert running.ask({"X_Forwarded_Uri": "/health"}, target=PATH).status == 403
        assert running.ask({}, "POST", PATH).status == 503
        assert running.ask({}, target=PATH + "?x").status == 503


def test_a_stranger_reads_nothing(tmp_path: Path):
    """Who is not a trusted proxy does not get the document either."""
    listen = {"http": f"127.0.0.1:{free_port()}"}
    with gateway(tmp_path, listen=listen, proxy={"kind": "nginx", "trust": ["10.9.0.0/16"]}) as running:
        assert running.ask({}, target=PATH).status == 403
