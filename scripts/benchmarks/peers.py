"""The verification and attenuation of this package beside those of others, on the same tokens of the service.

Peers in C and Go are built and run where their compilers and libraries are installed, and left out where they
are not: `left_out` says which, and what would bring them.
"""

import atexit
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import core
import jwt
from core import API, ISSUER, KEY, NOW, POOL, access, caveats, grant
from cryptography.hazmat.primitives.asymmetric import ec
from timing import Case, Extent

from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.text.base64url import decode

HERE = Path(__file__).parent
DEBIANS_GO = "/usr/share/gocode"
PYMACAROONS = ("pymacaroons, signature alone", "pymacaroons, caveats judged")
GO, C = "go-macaroon (Go), signature alone", "libmacaroons (C), signature of binary alone"
_missing: list[str] = []


def left_out() -> list[str]:
    """Return a sentence for each peer that could not run here, once `cases` has looked for them."""
    return list(_missing)


def cases(extent: Extent) -> list[Case]:
    """Return what is timed, peers first: bound tokens with four caveats, each new unless the name tells."""
    pool = [(mint(KEY, ISSUER, grant(n), caveats(n)), access(n)) for n in range(POOL)]
    others = [
        Case(PYMACAROONS[0], core.always_true, pool),
        Case(PYMACAROONS[1], core.judging, pool),
        *_compiled([text for text, _ in pool], is_asked=extent.rounds > 1),
        *_jwts(),
        *(_biscuits() if extent.rounds > 1 else ()),
    ]
    beside = tuple(case.name for case in others)
    return [*others, *core.verifying_as_guards_do(pool, beside), *core.children()]


def _compiled(tokens: list[str], *, is_asked: bool) -> Iterator[Case]:
    """Yield the peers that have to be built; a run that only shows that all works builds none."""
    for name, build, needs in ((C, _build_c, "libmacaroons 0.4"), (GO, _build_go, "Go with go-macaroon v2")):
        found = build() if is_asked else None
        if found is None:
            _missing.append(f"{name} is left out: {needs} is not here, or --small asks for no peer to build")
        else:
            lines = [decode(token).hex() for token in tokens] if name == C else tokens
            yield Case(name, timed=_Process(found, lines).round)


class _Process:
    """A peer in another process, which times its own rounds."""

    def __init__(self, program: Path, lines: list[str]) -> None:
        """Start it with these tokens; it ends when this process does, with its standard input."""
        pool = program.with_suffix(".tokens")
        pool.write_text("\n".join([KEY.secret.hex(), *lines, ""]))
        self._process = subprocess.Popen(
            [program, pool], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def round(self) -> float:
        """Return the microseconds a token of one round."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


def _build_c() -> Path | None:
    """Return libmacaroons' signature check, built, or None if compiler or library are missing."""
    compiler, finder = shutil.which("cc"), shutil.which("pkg-config")
    if compiler is None or finder is None:
        return None
    asked = subprocess.run(
        [finder, "--cflags", "--libs", "libmacaroons >= 0.4"],
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        return None
    program = _folder() / "libmacaroons"
    subprocess.run(
        [compiler, "-O2", "-o", program, HERE / "libmacaroons.c", *asked.stdout.split()],
        check=True,
        timeout=120,
    )
    return program


def _build_go() -> Path | None:
    """Return go-macaroon's signature check, built, or None if Go or the module's source is missing.

    The source is Debian's golang-gopkg-macaroon.v2-dev, or lies in GOPATH: nothing is fetched.
    """
    paths = os.environ.get("GOPATH", DEBIANS_GO)
    go = shutil.which("go")
    if go is None or not (Path(paths) / "src/gopkg.in/macaroon.v2").is_dir():
        return None
    folder = _folder() / "go"
    folder.mkdir()
    shutil.copy(HERE / "go_macaroon.go", folder / "main.go")
    cache = {} if "GOCACHE" in os.environ else {"GOCACHE": str(folder / "cache")}
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": paths, **cache}
    subprocess.run(
        [go, "build", "-o", "go_macaroon", "."], cwd=folder, env=environment, check=True, timeout=300
    )
    return folder / "go_macaroon"


def _folder() -> Path:
    stack = ExitStack()
    atexit.register(stack.close)
    return Path(stack.enter_context(tempfile.TemporaryDirectory()))


def _jwts() -> Iterator[Case]:
    """Yield PyJWT's check of a certificate-bound access token (RFC 9068), and the comparison of its cnf."""
    private = ec.generate_private_key(ec.SECP256R1())
    for algorithm, signing, verifying in (
        ("ES256", private, private.public_key()),
        ("HS256", bytes(32), bytes(32)),
    ):
        pool = [(_jwt(number, signing, algorithm), access(number)) for number in range(POOL // 4)]
        yield Case(f"PyJWT {algorithm}, cnf compared", _verifying_jwt(verifying, algorithm), pool)


def _jwt(number: int, key: object, algorithm: str) -> str:
    granted, facts = grant(number), access(number)
    claims = {
        "iss": ISSUER,
        "aud": API,
        "client_id": granted.client_id,
        "exp": int(time.time()) + 600,
        "iat": int(time.time()),
        "jti": granted.jti,
        "scope": granted.scope,
        "sub": granted.sub,
        "cnf": {"x5t#S256": facts.certificate},
    }
    return jwt.encode(claims, key, algorithm=algorithm)


def _verifying_jwt(key: object, algorithm: str) -> Callable[..., object]:
    decoder = jwt.PyJWT()

    def verify(text: str, facts: core.Access) -> object:
        claims = decoder.decode(text, key, algorithms=[algorithm], audience=API, issuer=ISSUER)
        if claims["cnf"]["x5t#S256"] != facts.certificate:
            raise ValueError("bound to another certificate")
        return claims

    return verify


def _biscuits() -> Iterator[Case]:
    """Yield biscuit-python's check of a token with the same restrictions, where it is installed."""
    if find_spec("biscuit_auth") is None:
        _missing.append("biscuit-python is left out: pip install biscuit-python")
        return
    import biscuit_auth

    pair = biscuit_auth.KeyPair()
    builder = biscuit_auth.AuthorizerBuilder
    limits = builder("").limits()
    limits.max_time = timedelta(seconds=1)  # its millisecond passes by on a busy machine

    def verify(text: str, facts: core.Access) -> int:
        token = biscuit_auth.Biscuit.from_base64(text, pair.public_key)
        asked = builder(
            'time({now}); certificate({certificate}); audience({audience}); operation("read"); '
            "allow if client($client)",
            {
                "now": datetime.fromtimestamp(facts.now, UTC),
                "certificate": facts.certificate,
                "audience": facts.audience,
            },
        )
        asked.set_limits(limits)
        return asked.build(token).authorize()

    def minted(number: int) -> str:
        facts = access(number)
        whole = biscuit_auth.BiscuitBuilder(
            "client({client}); check if time($now), $now < {end}; check if audience({audience})",
            {
                "client": grant(number).client_id,
                "end": datetime.fromtimestamp(NOW + 600, UTC),
                "audience": API,
            },
        ).build(pair.private_key)
        child = biscuit_auth.BlockBuilder(
            "check if certificate({certificate}); check if time($now), $now < {end}; "
            'check if operation("read")',
            {
                "certificate": facts.certificate,
                "end": datetime.fromtimestamp(NOW + 60 + number, UTC),
            },
        )
        return whole.append(child).to_base64()

    pool = [(minted(number), access(number)) for number in range(POOL // 4)]
    yield Case("biscuit-python, a block appended, checks judged", verify, pool)
