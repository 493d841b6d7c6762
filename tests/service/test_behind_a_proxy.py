"""The service behind a proxy: certificates come from a header, of the named proxy alone."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from werkzeug.test import TestResponse

from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.source import tls_connection
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service import create_app, settings_from_environment
from tests.support.audit_events import one
from tests.support.certificate_spellings import SPELLINGS
from tests.support.certificates import Identity, certified
from tests.support.databases import NOW
from tests.support.service import GRANT_TYPE, SECRETS, Service, basic, client_metadata, refused
from tests.support.tokens import came_from

PROXY, STRANGER = "10.0.0.7", "192.0.2.7"
IGNORED = "macaroon_cbat_certificate_headers_ignored_total"
MISCONFIGURED = {"endpoint": "token", "error": "proxy_misconfigured"}


SECRET = "Zq7w-Jm2nT_cR5Xk8Vb1"
"""That of the client `bound`, which gets certificate-bound tokens only."""


@pytest.fixture
def bound(start, file) -> Iterator[Service]:
    """Start a service that believes the hash that one proxy hands over."""
    service = start(
        certificate_source=Forwarded("haproxy-sha256", trust=trusted_proxies([PROXY])), audit_log=str(file)
    )
    metadata = client_metadata(tls_client_certificate_bound_access_tokens=True)
    service.stores.clients.add("bound", metadata, secret=SECRET, now=NOW)
    yield service
    write_log_to(None)


def ask(service: Service, address: str, **headers: str) -> TestResponse:
    """Ask for a token from this address."""
    return service.app.test_client().post(
        "/oauth2/token",
        data=GRANT_TYPE,
        headers={"Authorization": basic("bound", SECRET), **headers},
        environ_overrides=came_from(address),
    )


def test_the_proxy_s_word_binds_a_token(bound, certificate: Identity):
    """A token is bound to the certificate whose hash the trusted proxy sends."""
    answer = ask(bound, PROXY, Clientcertx5t=certificate.thumbprint)
    assert answer.status_code == 200
    seen = bound.app.test_client().post(
        "/oauth2/introspect",
        data={"token": answer.json["access_token"]},
        headers={"Authorization": basic("comparing-api", SECRETS["comparing-api"]), "Clientcertx5t": "none"},
        environ_overrides=came_from(PROXY),
    )
    assert seen.json["cnf"] == {"x5t#S256": certificate.thumbprint}


def test_a_stranger_s_header_binds_nothing(bound, certificate: Identity, caplog, file):
    """From a stranger the same header is ignored, counted once, logged, and named in the audit log."""
    before = REGISTRY.get_sample_value(IGNORED) or 0
    with caplog.at_level(logging.WARNING, "macaroon_cbat.service"):
        answer = ask(bound, STRANGER, Clientcertx5t=certificate.thumbprint)
    refused(answer, 400, "invalid_request")
    assert REGISTRY.get_sample_value(IGNORED) == before + 1
    [line] = [record.getMessage() for record in caplog.records if "is ignored" in record.getMessage()]
    assert STRANGER in line
    audited = one(file)
    assert audited.get("certificate") is None
    assert "a certificate header is ignored" in str(audited["reason"])


def test_without_a_header_a_stranger_has_no_certificate(bound, file):
    """A stranger without a header is refused as without a certificate; no header is told as ignored."""
    before = REGISTRY.get_sample_value(IGNORED) or 0
    refused(ask(bound, STRANGER), 400, "invalid_request")
    assert REGISTRY.get_sample_value(IGNORED) == before
    assert "ignored" not in str(one(file)["reason"])


def test_no_certificate_and_a_silent_proxy_are_told_apart(bound, caplog):
    """`none` is no certificate, 400; a proxy that says nothing is misconfigured, 503, in log and metrics."""
    refused(ask(bound, PROXY, Clientcertx5t="none"), 400, "invalid_request")
    name = "macaroon_cbat_requests_refused_total"
    before = REGISTRY.get_sample_value(name, MISCONFIGURED) or 0
    with caplog.at_level(logging.ERROR, "macaroon_cbat.service"):
        answer = ask(bound, PROXY)
    refused(answer, 503, "temporarily_unavailable")
    assert REGISTRY.get_sample_value(name, MISCONFIGURED) == before + 1
    assert any("HAProxy sends neither" in record.getMessage() for record in caplog.records)


def test_a_malformed_header_of_the_proxy_is_refused(bound, certificate: Identity):
    """A header of the proxy that holds the right hash twice is 400."""
    twice = f"{certificate.thumbprint},{certificate.thumbprint}"
    refused(ask(bound, PROXY, Clientcertx5t=twice), 400, "invalid_request")


def test_a_hash_is_not_enough_for_tls_client_auth(ca, tmp_path, start, file):
    """tls_client_auth needs the certificate itself: a hash alone is refused with the reason in the log."""
    (tmp_path / "clients.pem").write_bytes(ca.pem)
    service = start(
        certificate_source=Forwarded("haproxy-sha256", trust=trusted_proxies([PROXY])),
        client_ca=tmp_path / "clients.pem",
        audit_log=str(file),
    )
    metadata = client_metadata(
        token_endpoint_auth_method="tls_client_auth", tls_client_auth_subject_dn="CN=billing,O=Example"
    )
    service.stores.clients.add("by-dn", metadata, secret=None, now=NOW)
    certificate = certified(issuer=ca)

    def answer(one_service: Service, **headers: str) -> TestResponse:
        return one_service.app.test_client().post(
            "/oauth2/token",
            data=GRANT_TYPE | {"client_id": "by-dn"},
            headers=headers,
            environ_overrides=came_from(PROXY),
        )

    refused(answer(service, Clientcertx5t=certificate.thumbprint), 401, "invalid_client")
    write_log_to(None)
    assert "forwards its hash alone" in str(one(file)["reason"])
    whole = start(
        certificate_source=Forwarded("haproxy", trust=trusted_proxies([PROXY])),
        client_ca=tmp_path / "clients.pem",
    )
    assert answer(whole, Clientcert=SPELLINGS["haproxy"](certificate.der)[0]).status_code == 200


def from_environment(folder: Path, **variables: str) -> Any:
    named = {f"MACAROON_CBAT_{name}": value for name, value in variables.items()}
    return settings_from_environment({"MACAROON_CBAT_DATA": str(folder), **named})


def test_the_environment_names_the_proxy(tmp_path, certificate: Identity):
    """Format, header, proxies and secret come from the environment."""
    (tmp_path / "secret").write_text("a-secret-of-the-proxy\n")
    settings = from_environment(
        tmp_path,
        CERTIFICATE_FORMAT="haproxy-sha256",
        CERTIFICATE_HEADER="Ownhash",
        TRUSTED_PROXIES="unix, 10.0.0.0/8",
        PROXY_SECRET_FILE=str(tmp_path / "secret"),
    )
    assert isinstance(settings.certificate_source, Forwarded)
    assert "a-secret" not in repr(settings)
    app = create_app(settings)
    try:
        stores = app.extensions["macaroon_cbat"]
        metadata = client_metadata(tls_client_certificate_bound_access_tokens=True)
        stores.clients.add("bound", metadata, secret=SECRET, now=NOW)
        headers = {"Authorization": basic("bound", SECRET), "Ownhash": certificate.thumbprint}
        for secret, status in (("a-secret-of-the-proxy", 200), ("another-secret-of-it", 400), (None, 400)):
            shown = headers | ({} if secret is None else {"Proxysecret": secret})
            answer = app.test_client().post(
                "/oauth2/token",
                data=GRANT_TYPE,
                headers=shown,
                environ_overrides=came_from("10.1.2.3"),
            )
            assert answer.status_code == status, answer.text
    finally:
        app.extensions["macaroon_cbat"].database.close()


def test_the_environment_names_the_companion(tmp_path):
    """The header beside the certificate's comes from the environment too."""
    named = {"CERTIFICATE_HEADER": "Owncert", "CERTIFICATE_COMPANION": "Ownverify"}
    settings = from_environment(tmp_path, CERTIFICATE_FORMAT="nginx", TRUSTED_PROXIES="unix", **named)
    assert isinstance(settings.certificate_source, Forwarded)
    assert settings.certificate_source.headers == ("Owncert", "Ownverify")


def test_without_a_proxy_the_connection_counts(tmp_path):
    """Unless a proxy is named no header is looked at."""
    assert from_environment(tmp_path).certificate_source is tls_connection


UNUSABLE = {
    "no proxies": (
        {"CERTIFICATE_FORMAT": "nginx"},
        "MACAROON_CBAT_TRUSTED_PROXIES must be set behind a proxy",
    ),
    "no format": ({"TRUSTED_PROXIES": "unix"}, "MACAROON_CBAT_CERTIFICATE_FORMAT must be set behind a proxy"),
    "a header alone": (
        {"CERTIFICATE_HEADER": "X"},
        "MACAROON_CBAT_CERTIFICATE_FORMAT must be set behind a proxy",
    ),
    "a companion alone": (
        {"CERTIFICATE_COMPANION": "X"},
        "MACAROON_CBAT_CERTIFICATE_FORMAT must be set behind a proxy",
    ),
    "a companion that the format has not": (
        {"CERTIFICATE_FORMAT": "haproxy", "TRUSTED_PROXIES": "unix", "CERTIFICATE_COMPANION": "X"},
        "MACAROON_CBAT_CERTIFICATE_FORMAT, _HEADER or _COMPANION: haproxy has no companion",
    ),
    "a secret alone": (
        {"PROXY_SECRET_FILE": "/x"},
        "MACAROON_CBAT_CERTIFICATE_FORMAT must be set behind a proxy",
    ),
    "an unknown format": (
        {"CERTIFICATE_FORMAT": "ngnix", "TRUSTED_PROXIES": "unix"},
        "MACAROON_CBAT_CERTIFICATE_FORMAT, _HEADER or _COMPANION: unknown certificate format 'ngnix'",
    ),
    "a header that could be folded": (
        {"CERTIFICATE_FORMAT": "nginx", "TRUSTED_PROXIES": "unix", "CERTIFICATE_HEADER": "Client_Cert"},
        "MACAROON_CBAT_CERTIFICATE_FORMAT, _HEADER or _COMPANION: 'Client_Cert' is no name",
    ),
    "everybody": (
        {"CERTIFICATE_FORMAT": "nginx", "TRUSTED_PROXIES": "unix,0.0.0.0/0"},
        "MACAROON_CBAT_TRUSTED_PROXIES or its secret: 0.0.0.0/0 is every network",
    ),
    "a comma too many": (
        {"CERTIFICATE_FORMAT": "nginx", "TRUSTED_PROXIES": "unix,"},
        "MACAROON_CBAT_TRUSTED_PROXIES or its secret: '' is no trusted proxy",
    ),
    "no secret in the file": (
        {"CERTIFICATE_FORMAT": "nginx", "TRUSTED_PROXIES": "unix", "PROXY_SECRET_FILE": "/dev/null"},
        "the secret file /dev/null of MACAROON_CBAT_PROXY_SECRET_FILE is empty: write the secret into it",
    ),
    "no secret file": (
        {"CERTIFICATE_FORMAT": "nginx", "TRUSTED_PROXIES": "unix", "PROXY_SECRET_FILE": "/nowhere"},
        "MACAROON_CBAT_PROXY_SECRET_FILE: /nowhere cannot be read (No such file",
    ),
}


@pytest.mark.parametrize(("variables", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_settings_are_refused(tmp_path, variables: dict[str, str], reason: str):
    """A proxy that is named by halves is refused at the start, in one line that says what to do."""
    with pytest.raises(SettingsError) as error:
        from_environment(tmp_path, **variables)
    assert str(error.value).startswith(reason)
    assert "\n" not in str(error.value)
