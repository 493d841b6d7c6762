"""The login of a person by a device without a browser (RFC 8628): codes, and polls until a decision."""

import time
from collections.abc import Callable, Mapping
from typing import Annotated

from msgspec import Meta, Struct

from macaroon_cbat.client.https import AnswerTooLong, HttpsRequest
from macaroon_cbat.client.oauth_answers import HttpsUri, Shape, read_answer
from macaroon_cbat.client.service import Endpoint, Service
from macaroon_cbat.errors import MalformedMacaroon, Refused, Unavailable
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.wire import read_macaroon

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"

_ANSWER_BYTES = 64 * 1024
_SLOWER, _LONGEST_WAIT = 5, 60

Seconds = Annotated[int, Meta(gt=0, le=86_400)]
_Shown = Annotated[str, Meta(pattern=r"^[ -~]{1,60}\Z")]


class DeviceCode(Struct, frozen=True):
    """The codes of a login that has begun: a person types the user code at the URI (RFC 8628 3.2)."""

    device_code: str
    user_code: _Shown
    verification_uri: HttpsUri
    expires_in: Seconds
    verification_uri_complete: HttpsUri | None = None
    interval: Seconds = 5

    def __repr__(self) -> str:
        """Show what the person sees, never the device code."""
        return f"<DeviceCode {self.user_code} at {self.verification_uri}>"


class Granted(Struct, frozen=True):
    """The tokens that an authorization server granted (RFC 6749 5.1); a refresh token is optional."""

    access_token: str
    token_type: Annotated[str, Meta(pattern="^(?i:bearer)\\Z")]
    expires_in: Seconds
    refresh_token: str | None = None
    scope: str | None = None

    def __repr__(self) -> str:
        """Show no token."""
        return f"<Granted for {self.expires_in} s>"


class DeviceFlow:
    """The device flow of one client at one service."""

    def __init__(self, service: Service, *, scope: str | None = None, resource: str | None = None) -> None:
        """Ask for this scope, space-separated, and this audience; the client's only ones by default."""
        self._service = service
        wanted = {"scope": scope, "resource": resource}
        self._wanted = {name: value for name, value in wanted.items() if value is not None}

    def begin(self) -> DeviceCode:
        """Return new codes. Raises Refused or Unavailable."""
        endpoint: Endpoint = "device_authorization_endpoint"
        return posted(self._service, endpoint, self._wanted, DeviceCode)

    def wait(
        self,
        code: DeviceCode,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> Granted:
        """Return the tokens once the person has approved; poll no faster than the service allows.

        An answer that does not come is waited for ever longer (RFC 8628 3.5). Raises Refused with the code
        `access_denied` or `expired_token`, or another that the service answers.
        """
        interval, ends = code.interval, monotonic() + code.expires_in
        form = {"grant_type": DEVICE_CODE, "device_code": code.device_code}
        while monotonic() + interval <= ends:
            sleep(interval)
            try:
                return granted(self._service, form)
            except Refused as refusal:
                if refusal.code == "slow_down":
                    interval += _SLOWER
                elif refusal.code != "authorization_pending":
                    raise
            except Unavailable:
                interval = min(interval * 2, max(interval, _LONGEST_WAIT))
        raise Refused(400, "expired_token", "the code expired before a person approved it: begin again")


def granted(service: Service, form: Mapping[str, str]) -> Granted:
    """Return the tokens that the token endpoint grants, or raise Refused or Unavailable."""
    answer = posted(service, "token_endpoint", form, Granted)
    try:
        read_macaroon(mended(answer.access_token))
    except MalformedMacaroon as error:
        raise Refused(200, None, f"the service granted no macaroon: {error}") from error
    return answer


def posted(service: Service, endpoint: Endpoint, form: Mapping[str, str], shape: type[Shape]) -> Shape:
    """Return the answer of an endpoint to a form of this client, or raise Refused or Unavailable."""
    url, authentication = service.endpoint(endpoint), service.authentication
    request = HttpsRequest(
        method="POST",
        url=url,
        timeout=service.timeout,
        limit=_ANSWER_BYTES,
        form={**form, **authentication.form()},
        authorization=authentication.authorization(),
        is_repeatable=False,
    )
    try:
        answer = service.exchange(request)
    except AnswerTooLong as error:
        raise Refused(error.answered, None, str(error)) from error
    return read_answer(answer.status, answer.body, shape, url)
