"""Headers of real proxies, as vectors: .venv/bin/python -m tests.support.proxies.recordings.

Certificates are new each time, and their keys are thrown away.
"""

import json
import re
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from macaroon_cbat.certificate.formats import FORMATS
from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from tests.support.certificate_spellings import pem
from tests.support.proxies.certificates import World, make_world
from tests.support.proxies.clients import Ask
from tests.support.proxies.deployment import Stand, make_stand
from tests.support.proxies.processes import binary_of
from tests.support.proxies.rows import ROWS, Row

FOLDER = Path(__file__).parents[2] / "vectors" / "proxies"
WRITTEN = tuple(replace(row, is_shown=True) for row in ROWS if row.is_guarded)


def written(stand: Stand, kind: str | None) -> dict[str, str]:
    """Return the headers of the row's format as they arrive behind the proxy, for a certificate or none."""
    form = FORMATS[stand.row.format]
    reply = stand.ask(Ask(client=None if kind is None else stand.world.holders[kind]))
    assert reply.seen is not None, reply
    names = {name.lower() for name in (form.header, *form.companions)}
    return {name: value for name, value in reply.seen["headers"] if name.lower() in names}


def vector(row: Row, world: World, kind: str) -> str:
    """Return the text of one vector."""
    with make_stand(row, world) as stand:
        with_it, without = written(stand, kind), written(stand, None)
    der = world.holders[kind].der
    lines = [
        f"comment = {json.dumps(f'{version(row.proxy)}, configured by proxy-config')}",
        f"format = {json.dumps(row.format)}",
        f"thumbprint = {json.dumps(thumbprint_of(DerCertificate(der)))}",
        f'pem = """\n{pem(der)}"""',
        "\n[headers]",
        *(f"{name} = {json.dumps(value)}" for name, value in with_it.items()),
        "\n[headers_without_certificate]",
        *(f"{name} = {json.dumps(value)}" for name, value in without.items()),
    ]
    return "\n".join(lines) + "\n"


def version(name: str) -> str:
    """Return how a proxy calls its own version."""
    binary = binary_of(name)
    option = {"envoy": "--version", "caddy": "version", "traefik": "version"}.get(name, "-v")
    done = subprocess.run([binary, option], capture_output=True, check=True, text=True)
    found = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
    assert found is not None
    return f"{name} {found[0]}"


def main() -> None:
    """Write the vectors anew."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, make_world(Path(folder)) as world:
        for row in WRITTEN:
            for kind in ("self-signed", "RSA"):
                file = FOLDER / f"{row.proxy}-{row.format}-{kind}.toml"
                file.write_text(vector(row, world, kind))


if __name__ == "__main__":
    main()
