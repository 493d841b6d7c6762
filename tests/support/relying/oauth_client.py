"""Clients of OAuth in Node.js that a test asks step by step, over mutual TLS."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.node import NODE, NODE_MODULES
from tests.support.patience import SECONDS


@dataclass(frozen=True)
class OAuthClient:
    """One running program: a step is a JSON line that it reads, and its answer one that it writes."""

    process: "subprocess.Popen[str]"

    def __call__(self, step: str, credentials: dict[str, Any] | None = None, /, **asked: Any) -> Any:
        """Return the answer to one step, as a client with these credentials."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"step": step, "as": credentials, **asked}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the client has ended"
        return json.loads(line)


@contextmanager
def oauth_client(library: str, issuer: str, ca: Path, certificate: Path) -> Iterator[OAuthClient]:
    """Run the client of this library until the block ends."""
    script = Path(__file__).with_name(f"{library}.mjs")
    settings = {
        "issuer": issuer,
        "ca": str(ca),
        "certificate": str(certificate),
        "modules": str(NODE_MODULES),
    }
    process = subprocess.Popen(
        [NODE, str(script), json.dumps(settings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        yield OAuthClient(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(SECONDS)
