"""Device codes (RFC 8628): begun by a device, decided by a person, redeemed once, by the database's order.

A device code is `HANDLE.SECRET`. Its record is found by the handle, to which the user code leads, and holds
the hash of the secret: who reads the database, or knows a user code, can redeem nothing.
"""

import hmac
import os
from collections.abc import Callable
from hashlib import sha256
from typing import Literal, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from macaroon_cbat.errors import (
    AuthorizationPending,
    Conflict,
    ExpiredDeviceCode,
    InvalidGrant,
    SlowDown,
    Unavailable,
)
from macaroon_cbat.errors.pages import DeniedByPerson
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.oauth2.user_codes import new_user_code
from macaroon_cbat.stores import ExpiringStore, RecordChange
from macaroon_cbat.text.base64url import encode

LIFETIME, INTERVAL = 600, 5
"""Seconds that a device code lives, and seconds between two polls."""

_SLOWER, _SLOWEST, _KNOWN_LONGER = 5, 300, 300
"""Seconds more between two polls, at most so many, and for which an expired code is known as expired."""
_HANDLE_BYTES, _SECRET_BYTES = 16, 32

Decision = Literal["pending", "approved", "denied"]


class DeviceRequest(Struct, frozen=True, kw_only=True):
    """The request of one device, and what a person decided about it."""

    client_id: str
    scope: str
    audience: str | tuple[str, ...] | None
    begun_at: EpochSeconds
    carried: tuple[bytes, ...] = ()
    """The caveat of the authorization details (RFC 9396), if there are any."""
    detail_lines: tuple[str, ...] = ()
    """A line for a person about each of the details."""
    certificate: str | None = None
    """The thumbprint of the certificate that a public client presented: the poll must come with the same."""
    proof_key: str | None = None
    """The thumbprint of the DPoP key that the client proved: the poll must be proved by the same."""
    address: str | None = None
    """The address that the request came from, for the person to compare."""
    proof: str = ""
    """The SHA-256 of the secret in the device code."""
    interval: int = INTERVAL
    polled_at: EpochSeconds | None = None
    decision: Decision | Literal["used"] = "pending"
    subject: str | None = None
    decided_at: EpochSeconds | None = None

    @property
    def expires_at(self) -> EpochSeconds:
        """The second from which on the codes are expired."""
        return EpochSeconds(self.begun_at + LIFETIME)


class Poller(NamedTuple):
    """The client that polls: its name, the certificate of its connection, and the DPoP key that it proves."""

    client_id: str
    certificate: str | None = None
    proof_key: str | None = None


class Begun(NamedTuple):
    """The codes of a new request: one for the device to poll with, one for the person to type."""

    device_code: str
    user_code: str


class DeviceCodes:
    """The device codes of all processes."""

    def __init__(self, records: ExpiringStore) -> None:
        """Keep them in this store."""
        self._records = records

    def begin(self, asked: DeviceRequest) -> Begun:
        """Return codes for this request. Raises Unavailable.

        The user code is recorded first: if the database fails in between, it leads to nothing.
        """
        handle, secret = encode(os.urandom(_HANDLE_BYTES)), encode(os.urandom(_SECRET_BYTES))
        user_code = self._free_user_code(handle, asked)
        content = msgspec.json.encode(replace(asked, proof=_hash(secret)))
        ends, now = asked.expires_at + _KNOWN_LONGER, asked.begun_at
        self._records.add("device", handle, content, expires_at=ends, now=now)
        return Begun(f"{handle}.{secret}", user_code)

    def redeem(self, device_code: str, poller: Poller, now: EpochSeconds) -> DeviceRequest:
        """Return the approved request of this device code, which is to be used with the tokens that it gives.

        Raises AuthorizationPending, SlowDown, ExpiredDeviceCode, DeniedByPerson, or InvalidGrant for a code
        that is unknown, used, or of another client, certificate or key.
        """
        handle, _, secret = device_code.partition(".")
        states: list[_Poll] = []

        def polled(content: bytes) -> bytes:
            asked = msgspec.json.decode(content, type=DeviceRequest)
            _refuse_other(asked, poller, secret)
            states.append(_poll(asked, now))
            return msgspec.json.encode(states[0].after)

        if self._records.change("device", handle, polled, now) is None:
            raise InvalidGrant("the device code is unknown, used or long expired: begin again")
        if states[0].refusal is not None:
            raise states[0].refusal
        return states[0].after

    def use(self, device_code: str, now: EpochSeconds) -> None:
        """Use a code that was redeemed. Raises InvalidGrant if another poll used it meanwhile."""
        if self._records.change(*use_of(device_code), now) is None:
            raise InvalidGrant(_USED)

    def find(self, user_code: str, now: EpochSeconds) -> DeviceRequest | None:
        """Return the undecided request of a user code; None if there is none, or it is decided or expired."""
        handle = self._records.find("user_code", user_code, now)
        content = None if handle is None else self._records.find("device", handle.decode(), now)
        if content is None:
            return None
        asked = msgspec.json.decode(content, type=DeviceRequest)
        return asked if asked.decision == "pending" and now < asked.expires_at else None

    def decide(
        self,
        user_code: str,
        decision: Decision,
        subject: str,
        now: EpochSeconds,
        record: Callable[[DeviceRequest], None],
    ) -> DeviceRequest:
        """Keep what a person decided, and return the request. Of two decisions at once, the first holds.

        `record` is called before the decision holds, which an error of it prevents. Raises Conflict if the
        request is decided, expired or unknown.
        """

        def decided(content: bytes) -> bytes:
            asked = msgspec.json.decode(content, type=DeviceRequest)
            if asked.decision != "pending" or now >= asked.expires_at:
                raise Conflict(_OVER)
            after = replace(asked, decision=decision, subject=subject, decided_at=now)
            record(after)
            return msgspec.json.encode(after)

        handle = self._records.find("user_code", user_code, now)
        content = None if handle is None else self._records.change("device", handle.decode(), decided, now)
        if content is None:
            raise Conflict(_OVER)
        self._records.drop("user_code", user_code)
        return msgspec.json.decode(content, type=DeviceRequest)

    def _free_user_code(self, handle: str, asked: DeviceRequest) -> str:
        for _ in range(5):
            code = new_user_code()
            ends, now = asked.expires_at, asked.begun_at
            if self._records.add("user_code", code, handle.encode(), expires_at=ends, now=now):
                return code
        raise Unavailable("five random user codes in a row are in use: too many devices ask at once")


def use_of(device_code: str) -> RecordChange:
    """Return the change that uses a code, or raises InvalidGrant and so ends its transaction."""
    return RecordChange("device", device_code.partition(".")[0], _used)


def _used(content: bytes) -> bytes:
    asked = msgspec.json.decode(content, type=DeviceRequest)
    if asked.decision != "approved":
        raise InvalidGrant(_USED)
    return msgspec.json.encode(replace(asked, decision="used"))


class _Poll(NamedTuple):
    """The request after a poll, and why the poll gets no token."""

    after: DeviceRequest
    refusal: Exception | None


def _poll(asked: DeviceRequest, now: EpochSeconds) -> _Poll:
    after = replace(asked, polled_at=now)
    if asked.decision == "used":
        return _Poll(after, InvalidGrant(_USED))
    if now >= asked.expires_at:
        return _Poll(after, ExpiredDeviceCode("the device code has expired: begin again"))
    if asked.polled_at is not None and now < asked.polled_at + asked.interval:
        slower = replace(after, interval=min(asked.interval + _SLOWER, _SLOWEST))
        return _Poll(slower, SlowDown(f"polls come too often: wait {slower.interval} s between two"))
    if asked.decision == "pending":
        return _Poll(after, AuthorizationPending("the person has not decided yet: poll again"))
    if asked.decision == "denied":
        return _Poll(after, DeniedByPerson("the person denied the access: do not poll again"))
    return _Poll(after, None)


def _refuse_other(asked: DeviceRequest, poller: Poller, secret: str) -> None:
    """Raise InvalidGrant for another client, certificate, key or secret than those of the request."""
    if asked.client_id != poller.client_id:
        raise InvalidGrant("the device code was issued to another client")
    if not hmac.compare_digest(asked.proof, _hash(secret)):
        raise InvalidGrant("the secret of the device code is wrong")
    if asked.proof_key is not None and asked.proof_key != poller.proof_key:
        raise InvalidGrant(
            "the device code was requested with another DPoP key: poll with a proof by the same"
        )
    if asked.certificate is not None and asked.certificate != poller.certificate:
        raise InvalidGrant(
            "the device code was requested over another client certificate: poll over the same"
        )


def _hash(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


_USED = "the device code was used: begin again"
_OVER = "this code is over: it was decided, or it has expired; begin again at the device"
