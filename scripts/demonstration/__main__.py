"""Mint, bind, call; then play the thief. One line each: what was tried, what came back."""

import sys
import tempfile
import time
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from demonstration.stage import Stage, staged, write_certificate
from macaroon_cbat import Expiry, attenuate, confirmation, der_of, thumbprint_of
from macaroon_cbat.client import ClientCertificate, TokenClient
from macaroon_cbat.client.requests import MacaroonAuth, certificate_session

GREEN, RED, PLAIN = ("\033[32m", "\033[31m", "\033[0m") if sys.stdout.isatty() else ("", "", "")


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing tried, and the only answer that is right."""

    title: str
    expected: str
    play: Callable[[], requests.Response]


class Cast:
    """The holder and the thief, each with a certificate of its own."""

    def __init__(self, stage: Stage) -> None:
        """Make the certificates and get the holder's unbound macaroon."""
        self.stage = stage
        self.url = stage.api + "/invoices"
        self.mine, self.theirs = stage.folder / "holder.pem", stage.folder / "thief.pem"
        write_certificate(self.mine, "holder")
        write_certificate(self.theirs, "thief")
        self.macaroon = self.mint("billing")
        self.bound = self.bound_to(self.mine)

    def mint(self, client_id: str, resource: str | None = None) -> str:
        """Return a new macaroon for a client, asked for with the holder's certificate."""
        certificate = ClientCertificate(self.mine, self.mine.with_suffix(".key"))
        secret = self.stage.secret(client_id)
        client = TokenClient(
            issuer=self.stage.issuer, client_id=client_id, client_secret=secret, certificate=certificate,
            ca=self.stage.ca, resource=resource,
        )  # fmt: skip
        return client()

    def bound_to(self, certificate: Path, token: str | None = None) -> str:
        """Return a child that is bound to the certificate and lives for a minute."""
        thumbprint = thumbprint_of(der_of(certificate.read_bytes()))
        return attenuate(token or self.macaroon, [confirmation(thumbprint), Expiry(int(time.time()) + 60)])

    def call(
        self,
        token: str | None,
        certificate: Path | None,
        headers: dict[str, str] | None = None,
        url: str | None = None,
    ) -> requests.Response:
        """Call the API, or another URL, with a token over a connection of its own with this certificate."""
        credentials = {} if token is None else {"Authorization": f"Bearer {token}"}
        pair = None if certificate is None else (str(certificate), str(certificate.with_suffix(".key")))
        return requests.get(
            url or self.url,
            headers={**credentials, **(headers or {})},
            cert=pair,
            verify=self.stage.ca,
            timeout=10,
        )


def holder_scenes(cast: Cast) -> Iterator[Scene]:
    """Yield what must work."""
    auth = MacaroonAuth(cast.macaroon, ClientCertificate(cast.mine, cast.mine.with_suffix(".key")))
    session = certificate_session(auth, cast.stage.ca)

    def after_rotation() -> requests.Response:
        write_certificate(cast.mine, "holder, renewed")
        return session.get(cast.url)

    yield Scene(
        "the holder: bound token, its own certificate", "200", lambda: cast.call(cast.bound, cast.mine)
    )
    yield Scene("the same, bound just in time by the client library", "200", lambda: session.get(cast.url))
    yield Scene("after its certificate was renewed: same macaroon, new child", "200", after_rotation)


def attack_scenes(cast: Cast) -> Iterator[Scene]:
    """Yield what must be refused."""
    bound_at_mint, other_audience = cast.mint("bound"), cast.mint("elsewhere")
    yield Scene("stolen token, no certificate", "401 invalid_token", lambda: cast.call(cast.bound, None))
    yield Scene("stolen token, the thief's certificate", "401 invalid_token",
                lambda: cast.call(cast.bound, cast.theirs))  # fmt: skip
    yield Scene("the same, with headers that claim the holder's certificate", "401 invalid_token",
                lambda: cast.call(cast.bound, cast.theirs, _forged_headers(cast.mine)))  # fmt: skip
    yield Scene("SSRF: the holder's connection, but no token", "401", lambda: cast.call(None, cast.mine))
    yield Scene("unbound macaroon, the holder's certificate", "401 invalid_token",
                lambda: cast.call(cast.macaroon, cast.mine))  # fmt: skip
    expired = attenuate(cast.bound, [Expiry(int(time.time()) - 60)])  # beyond what clocks may differ
    yield Scene("expired child", "401 invalid_token", lambda: cast.call(expired, cast.mine))
    yield Scene("tampered caveat: a later expiry", "401 invalid_token",
                lambda: cast.call(_tampered(cast.bound), cast.mine))  # fmt: skip
    conflicting = cast.bound_to(cast.theirs, cast.bound)
    yield Scene("second, conflicting cnf: the thief's connection", "401 invalid_token",
                lambda: cast.call(conflicting, cast.theirs))  # fmt: skip
    yield Scene("second, conflicting cnf: the holder's connection", "401 invalid_token",
                lambda: cast.call(conflicting, cast.mine))  # fmt: skip
    yield Scene("token of another audience", "401 invalid_token",
                lambda: cast.call(cast.bound_to(cast.mine, other_audience), cast.mine))  # fmt: skip
    curious = cast.bound_to(cast.mine, cast.mint("curious", cast.stage.issuer))
    yield Scene("the keys of an API that a client may call, and does not serve", "403",
                lambda: cast.call(curious, cast.mine, url=cast.stage.keys))  # fmt: skip
    yield Scene("token that the service bound at minting, the thief's certificate", "401 invalid_token",
                lambda: cast.call(bound_at_mint, cast.theirs))  # fmt: skip


def _forged_headers(certificate: Path) -> dict[str, str]:
    """Return what proxies write, for a certificate that is not on the connection."""
    der = der_of(certificate.read_bytes())
    encoded = b64encode(der).decode()
    return {
        "Client-Cert": f":{encoded}:",
        "X-Client-Cert": encoded,
        "X-SSL-Client-Cert": certificate.read_text().replace("\n", " "),
        "X-Forwarded-Client-Cert": f"Hash={thumbprint_of(der)}",
        "macaroon_cbat.peer_certificate": encoded,
    }


def _tampered(token: str) -> str:
    """Return the token with the year of its last `exp` changed, the signature as it was."""
    data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    at = data.rindex(b'{"exp":') + len(b'{"exp":')
    return urlsafe_b64encode(data[:at] + b"9" + data[at + 1 :]).rstrip(b"=").decode()


def _outcome(response: requests.Response) -> str:
    challenge = response.headers.get("WWW-Authenticate", "")
    code = challenge.partition('error="')[2].partition('"')[0]
    return f"{response.status_code} {code}".strip()


def main() -> int:
    """Play every scene; return 0 when all came out as they must."""
    failures = 0
    with tempfile.TemporaryDirectory() as folder, staged(Path(folder)) as stage:
        cast = Cast(stage)
        for heading, scenes in (("What must be refused", attack_scenes), ("What must work", holder_scenes)):
            print(heading)
            for scene in scenes(cast):
                came = _outcome(scene.play())
                failures += came != scene.expected
                mark, colour = ("ok  ", GREEN) if came == scene.expected else ("FAIL", RED)
                print(f"  {colour}{mark}{PLAIN} {scene.title:<66} {colour}{came}{PLAIN}", flush=True)
    print(f"{RED}{failures} went wrong{PLAIN}" if failures else f"{GREEN}all as it must be{PLAIN}")
    return 1 if failures else 0


sys.exit(main())
