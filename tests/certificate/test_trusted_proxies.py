"""The deployer's words for the proxies that are trusted: what cannot be meant is refused at the start."""

import pytest

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.errors import SettingsError
from tests.support.forwarded import SECRET


def test_the_secret_must_be_there_to_be_enough():
    """A proxy cannot be known by a secret that was not set."""
    with pytest.raises(SettingsError, match="the secret is missing: set it"):
        trusted_proxies(["secret"])


UNUSABLE = {
    "no proxy": ([], "no trusted proxy is named"),
    "an empty text": ([""], "no trusted proxy is named"),
    "an empty text among others": (["unix", ""], "'' is no trusted proxy"),
    "everybody": (["0.0.0.0/0"], "is every network"),
    "everybody, IPv6": (["unix", "::/0"], "is every network"),
    "everybody, IPv4-mapped": (["::ffff:0:0/96"], "write it as an IPv4 network"),
    "host bits": (["10.0.0.7/8"], "is no trusted proxy"),
    "a host name": (["proxy.example"], "is no trusted proxy"),
    "a number": (["10"], "is no trusted proxy"),
    "another word": (["*"], "is no trusted proxy"),
    "a hash in hexadecimal": (["x5t#S256=" + "ab" * 32], "43 characters, not hex"),
    "no hash": (["x5t#S256="], "43 characters"),
}


@pytest.mark.parametrize(("texts", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_proxies_are_refused(texts: list[str], reason: str):
    """Words that name no proxy, or every network, are a SettingsError that says so."""
    with pytest.raises(SettingsError, match=reason):
        trusted_proxies(texts)


@pytest.mark.parametrize("secret", ["", "too short", "x" * 15, "x" * 257, "a secret with spaces", "é" * 16])
def test_unusable_secrets_are_refused(secret: str):
    """A secret of the proxy has 16 printable ASCII characters at least."""
    with pytest.raises(SettingsError, match="the proxy's secret is too short"):
        trusted_proxies(["unix"], secret=secret)


def test_the_secret_does_not_print():
    """Nothing that a log could show holds the secret."""
    trust = trusted_proxies(["unix"], secret=SECRET)
    assert SECRET not in repr(trust)
    assert SECRET not in repr(Forwarded("haproxy", trust=trust))


@pytest.mark.parametrize(
    ("format_", "header"),
    [
        ("unknown", None),
        ("Nginx", None),
        ("nginx", "Client_Cert"),
        ("nginx", "Client.Cert"),
        ("nginx", "Client Cert"),
        ("nginx", "-Cert"),
        ("nginx", "clientcertverify"),
        ("ingress-nginx", "SSL-Client-Verify"),
        ("haproxy", "Proxysecret"),
        ("haproxy", "Clientcert\n"),
    ],
)
def test_unusable_formats_and_headers_are_refused(format_: str, header: str | None):
    """An unknown format and a name that some server would fold are refused at the start."""
    with pytest.raises(SettingsError):
        Forwarded(format_, trust=trusted_proxies(["unix"]), header=header)


@pytest.mark.parametrize(
    ("format_", "header", "companion", "problem"),
    [
        pytest.param("haproxy", None, "Ownverify", "has no companion", id="a format without one"),
        pytest.param("nginx", None, "Own_Verify", "is no name", id="a name that could be folded"),
        pytest.param("nginx", None, "", "is no name", id="an empty name"),
        pytest.param("nginx", None, "Proxysecret", "another header", id="that of the secret"),
        pytest.param("nginx", None, "clientcert", "another header", id="that of the certificate"),
        pytest.param("nginx", "Own", "OWN", "another header", id="that of the certificate, named too"),
    ],
)
def test_unusable_companions_are_refused(format_, header, companion, problem):
    """The header beside the certificate's needs a name of its own, and a format that has one."""
    with pytest.raises(SettingsError, match=problem):
        Forwarded(format_, trust=trusted_proxies(["unix"]), header=header, companion=companion)
