"""Errors for a question that has no answer now: neither yes nor no (503)."""

from typing import ClassVar

from macaroon_cbat.errors.texts import Answered


class Unavailable(Answered):
    """A store, feed or service is out of reach, so the request is neither allowed nor refused (503)."""

    status: ClassVar[int] = 503
    code: ClassVar[str] = "temporarily_unavailable"
    fixed_description = "the request cannot be judged right now, try again later"


class ServerMisconfigured(Unavailable):
    """No client certificate can reach this server, so it can judge no certificate-bound token."""

    code = "server_misconfigured"
    fixed_description = "no client certificate can reach this server: its log tells its operator what to do"


class ProxyMisconfigured(Unavailable):
    """The proxy does not tell whether a client certificate was presented, or not reliably."""
