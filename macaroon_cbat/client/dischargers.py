"""The exchange with one discharger, in the macaroon bakery's protocol: its public key, and a discharge."""

import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from macaroon_cbat.client.authentication import ClientAuthentication
from macaroon_cbat.client.https import HttpsAnswer, HttpsRequest
from macaroon_cbat.client.oauth_answers import is_shown_whole
from macaroon_cbat.client.own_connections import OwnConnections
from macaroon_cbat.errors import MalformedMacaroon, Refused, SettingsError
from macaroon_cbat.macaroon.json_form import text_of_json
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.wire import ThirdPartyCaveat, read_macaroon
from macaroon_cbat.text.base64url import NotBase64url, decode, encode
from macaroon_cbat.text.json_text import UnusableJson, read_json_text, read_members
from macaroon_cbat.text.printable import printable

MAX_ANSWER_BYTES = 64 * 1024
_INTERACTION = "interaction required"
_BROWSER = "browser-window"
_SEE_OTHER = 303
_KEY_BYTES = 32
_PAUSE_SECONDS = 0.5

Visit = Callable[[str], None]
"""Leads a person to this URL, for example by `webbrowser.open`; it returns before the person decides."""


class GivenDischarge(Struct, frozen=True):
    """A discharge that is not bound yet, and the encrypted contents of its third-party caveats by name."""

    text: str
    payloads: Mapping[bytes, bytes]
    is_by_person: bool = False
    """Whether a person was led to a page for it."""

    def __repr__(self) -> str:
        """Show no macaroon."""
        return "<GivenDischarge>"


class _Window(Struct):
    visit: str = msgspec.field(name="VisitURL")
    wait: str = msgspec.field(name="WaitTokenURL")


class _Info(Struct):
    methods: dict[str, Any] = msgspec.field(name="InteractionMethods", default_factory=dict)


class _Refusal(Struct):
    code: str = msgspec.field(name="Code", default="")
    message: str = msgspec.field(name="Message", default="")
    info: _Info | None = msgspec.field(name="Info", default=None)


class _Token(Struct):
    kind: str
    token: str | None = None
    token64: str | None = None


class _PublicKey(Struct):
    key: str = msgspec.field(name="PublicKey")
    version: int = msgspec.field(name="Version", default=1)


@dataclass(frozen=True, slots=True)
class Discharger:
    """One discharger, by the location of its caveats, which is an https URL without a slash at the end."""

    location: str
    own: OwnConnections
    authentication: ClientAuthentication | None = None
    timeout: float = 10
    patience: float = 300
    """Seconds for which a person may take to decide."""
    visit: Visit | None = field(default=None, repr=False)

    def public_key(self) -> bytes:
        """Return the Curve25519 public key. Raises Refused and Unavailable."""
        url = f"{self.location}/discharge/info"
        answer = self._exchange("GET", url)
        if answer.status != 200:
            raise self._refused(answer, "does not show its public key")
        try:
            shown = read_json_text(answer.body, _PublicKey)
            key = decode(mended(shown.key))
        except (UnusableJson, NotBase64url) as error:
            raise self._nonsense(url, error) from error
        if len(key) != _KEY_BYTES or shown.version < 2:
            raise Refused(200, None, f"{url} shows no public key for caveats of form 2")
        return key

    def discharge(self, caveat: ThirdPartyCaveat, payload: bytes | None) -> GivenDischarge:
        """Return the discharge of a caveat; `payload` is its encrypted content, if it came beside it.

        Raises Refused, also if a person has to decide and `visit` is None, and Unavailable.
        """
        form = _named("id", caveat.identifier)
        if payload is not None:
            form["caveat64"] = encode(payload)
        answer = self._ask(form)
        if is_by_person := answer.status != 200:
            window = self._window(answer)
            form |= self._interact(window)
            answer = self._ask(form)
        if answer.status != 200:
            raise self._refused(answer, "refuses the discharge")
        return replace(self._read(answer, caveat.identifier), is_by_person=is_by_person)

    def _ask(self, form: Mapping[str, str]) -> HttpsAnswer:
        known = {} if self.authentication is None else self.authentication.form()
        return self._exchange("POST", f"{self.location}/discharge", {**known, **form})

    def _window(self, answer: HttpsAnswer) -> _Window:
        """Return the links by which a person decides. Raises Refused for any other refusal."""
        refusal = _refusal(answer)
        methods = {} if refusal.info is None else refusal.info.methods
        if refusal.code != _INTERACTION or _BROWSER not in methods:
            raise self._refused(answer, "refuses the discharge")
        try:
            told, base = msgspec.convert(methods[_BROWSER], _Window), self.location + "/"
            window = _Window(urljoin(base, told.visit), urljoin(base, told.wait))
            here, there = urlsplit(self.location), urlsplit(window.wait)
        except ValueError as error:  # of msgspec, and of what no URL parser reads
            raise self._nonsense(self.location, error) from error
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            raise Refused(answer.status, None, f"{self.location} leads to another host to wait: not followed")
        if not is_shown_whole(window.visit):
            raise Refused(
                answer.status,
                None,
                f"{self.location} leads a person to what is no https URL, or has a disguised host",
            )
        return window

    def _interact(self, window: _Window) -> dict[str, str]:
        """Lead a person to the page, wait for the decision, and return the token of it."""
        if self.visit is None:
            raise Refused(401, _INTERACTION, f"a person has to decide: open {window.visit}")
        self.visit(window.visit)
        ends_at = time.monotonic() + self.patience
        while (answer := self._exchange("GET", window.wait, longer=self.patience)).status == _SEE_OTHER:
            if time.monotonic() >= ends_at:
                raise Refused(401, _INTERACTION, f"no person has decided in {self.patience:g} s")
            time.sleep(_PAUSE_SECONDS)
        if answer.status != 200:
            raise self._refused(answer, "gives no token")
        try:
            token = read_json_text(answer.body, _Token)
            value = token.token.encode() if token.token is not None else decode(mended(token.token64 or ""))
        except (UnusableJson, NotBase64url) as error:
            raise self._nonsense(window.wait, error) from error
        return {**_named("token", value), "token-kind": token.kind}

    def _read(self, answer: HttpsAnswer, identifier: bytes) -> GivenDischarge:
        try:
            given = read_members(answer.body).get("Macaroon")
            wrapped = given if isinstance(given, dict) and "m" in given else {"m": given}
            macaroon, contents = wrapped["m"], wrapped.get("cdata", {})
            text = mended(macaroon) if isinstance(macaroon, str) else text_of_json(_object(macaroon))
            read = read_macaroon(text)
            payloads = {
                decode(mended(name)): decode(mended(str(value))) for name, value in _object(contents).items()
            }
        except (UnusableJson, NotBase64url, MalformedMacaroon) as error:
            raise self._nonsense(self.location, error) from error
        if read.identifier != identifier:
            raise Refused(200, None, f"{self.location} gave the discharge of another caveat")
        return GivenDischarge(text, payloads)

    def _exchange(
        self, method: str, url: str, form: Mapping[str, str] | None = None, longer: float = 0
    ) -> HttpsAnswer:
        request = HttpsRequest(
            method=method,
            url=url,
            timeout=self.timeout + longer,
            limit=MAX_ANSWER_BYTES,
            form=form,
            authorization=None
            if self.authentication is None or form is None
            else self.authentication.authorization(),
            is_repeatable=method == "GET",
        )
        return self.own.current().connections.exchange(request)

    def _refused(self, answer: HttpsAnswer, what: str) -> Refused:
        refusal = _refusal(answer)
        why = printable(refusal.message[:500]) or f"status {answer.status}"
        return Refused(answer.status, printable(refusal.code[:100]) or None, f"{self.location} {what}: {why}")

    def _nonsense(self, url: str, error: Exception) -> Refused:
        return Refused(200, None, f"{url} does not answer as a discharger: {printable(str(error))}")


def checked_location(location: str) -> str:
    """Return a location as it is compared: without a slash at its end. Raises SettingsError unless https."""
    if not _is_plain(location):
        raise SettingsError(
            f"the discharger {location!r} is no plain https URL: write https://HOST[:PORT][/PATH]"
        )
    return location.rstrip("/")


def _is_plain(location: str) -> bool:
    try:
        parts = urlsplit(location)
    except ValueError:
        return False
    is_with_more = "@" in parts.netloc or bool(parts.query or parts.fragment)
    return parts.scheme == "https" and bool(parts.hostname) and not is_with_more


def _refusal(answer: HttpsAnswer) -> _Refusal:
    try:
        return read_json_text(answer.body, _Refusal)
    except UnusableJson:
        return _Refusal()


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise UnusableJson("it holds what is no JSON object")
    return value


def _named(name: str, value: bytes) -> dict[str, str]:
    """Return the member of a form with these bytes: as base64, which every discharger reads."""
    return {f"{name}64": b64encode(value).decode()}
