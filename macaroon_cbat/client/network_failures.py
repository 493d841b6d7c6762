"""Network and TLS failures in words, each with its remedy."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from functools import partial

_MOST = 20
_NAME_MISMATCH = (62, 63, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH, _EMAIL_MISMATCH, _IP_ADDRESS_MISMATCH of OpenSSL."""
_NO_TRUST = (2, 18, 19, 20, 21)
"""OpenSSL's codes for a chain that leads to no CA of the trust store."""
_NOT_YET_VALID, _EXPIRED = 9, 10
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
_CERTIFICATE_REFUSED = ("BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED")


CA_OPTIONS = "name the PEM file of its CA (--cacert, or ca= in Python and policy files)"
"""The remedy of a holder or resource server for a server's certificate of an unknown CA."""


def failure_in_words(error: BaseException, place: str, ca_remedy: str = CA_OPTIONS) -> str:
    """Return why no answer came from the place, a host with its port, and what to do.

    The error is one of Python's, or a library's that carries one. An unknown error is returned as its own
    text. `ca_remedy` says how the caller is told of a CA.
    """
    causes = list(_causes(error))
    names = {type(cause).__name__ for cause in causes}
    if "ProxyError" in names:
        remedy = "correct it, or list the host in NO_PROXY"
        return f"the proxy that HTTPS_PROXY names gives no way to {place}: {remedy}"
    for kind, words in (
        (ssl.SSLError, partial(_tls_words, ca_remedy=ca_remedy)),
        (socket.gaierror, _name_words),
        (OSError, _connection_words),
        (http.client.HTTPException, _connection_words),
    ):
        for cause in causes:
            if isinstance(cause, kind) and (text := words(cause, place)):
                return text
    if any("Timeout" in name for name in names):
        return _connection_words(TimeoutError(), place)
    return str(error) or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and the errors that it carries, outermost first."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < _MOST:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        carried = (*one.args, getattr(one, "reason", None), one.__cause__, one.__context__)
        waiting += [other for other in carried if isinstance(other, BaseException)]


def _tls_words(error: BaseException, place: str, *, ca_remedy: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate_words(error, place, ca_remedy)
    reason = str(getattr(error, "reason", None) or "")
    if any(name in reason for name in _NO_TLS):
        return f"{place} does not speak TLS: give the port of its https listener"
    if "CERTIFICATE_REQUIRED" in reason:
        return f"{place} demands a client certificate: present one (--cert and --key)"
    if "HANDSHAKE_FAILURE" in reason:
        remedy = "present a client certificate if it demands one (--cert and --key)"
        return f"{place} refuses the handshake: {remedy}"
    if any(name in reason for name in _CERTIFICATE_REFUSED):
        return f"{place} refuses the client certificate: present one that its operator accepts"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return f"{place} ended the connection: ask its operator, or look into its log"
    return f"TLS with {place} failed ({reason or error}): ask its operator, or look into its log"


def _certificate_words(error: ssl.SSLCertVerificationError, place: str, ca_remedy: str) -> str:
    code = error.verify_code
    if code in _NO_TRUST:
        return f"the certificate of {place} is of no CA that is trusted here: {ca_remedy}"
    if code in _NAME_MISMATCH:
        return (
            f"the certificate of {place} is for another name ({error.verify_message}): "
            "use the name that it is for, as the operator gave it"
        )
    if code == _EXPIRED:
        return f"the certificate of {place} has expired: renew it, or set this machine's clock"
    if code == _NOT_YET_VALID:
        return f"the certificate of {place} is not valid yet: set this machine's clock, or wait"
    return f"the certificate of {place} is not valid ({error.verify_message}): ask its operator"


def _name_words(error: BaseException, place: str) -> str:
    if isinstance(error, OSError) and error.errno == socket.EAI_AGAIN:
        return f"the name of {place} cannot be resolved now: try again, or look at this machine's DNS"
    host = place.rpartition(":")[0] if place.rpartition(":")[2].isdigit() else place
    return f"no host is named {host}: correct the URL, or this machine's DNS"


def _connection_words(error: BaseException, place: str) -> str:
    match error:
        case ConnectionRefusedError():
            return f"no server listens at {place}: start it, or correct host and port"
        case TimeoutError():
            return f"{place} did not answer in time: try again, or see whether a firewall is between"
        case ConnectionError() | http.client.RemoteDisconnected():
            return f"{place} ended the connection without an answer: look into its log"
        case http.client.IncompleteRead():
            return f"{place} ended the connection in the middle of an answer: look into its log"
        case OSError(strerror=str(reason)) if not isinstance(error, ssl.SSLError):
            return f"{place} cannot be reached ({reason}): correct the URL, or this machine's network"
    return ""
