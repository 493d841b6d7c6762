"""What plays another user of the machine."""

import os
import resource
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.keys import audience_keys, write_key_file
from tests.core.material import API, ISSUER, ROOT

NOBODY = 65534
KEYS = write_key_file(audience_keys(ISSUER, API, [ROOT]))
FORGED = write_key_file(audience_keys("https://evil.example", API, [ROOT]))


def act_as_another(script: str, *, folder: Path, standard_input: bytes = b"") -> None:
    """Run a shell script as a user that owns nothing here."""
    command = ["sh", "-ec", script]
    subprocess.run(
        command, cwd=folder, input=standard_input, check=True, user=NOBODY, group=NOBODY, extra_groups=[]
    )


def as_user(user: int, group: int, act: Callable[[], str], *, also: Sequence[int] = ()) -> str:
    """Return what `act` returns in a process of that user, in the groups `also` too, or why it refuses."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(also)
            os.setresgid(group, group, group)
            os.setresuid(user, user, user)
            os.write(writing, act().encode())
        except SettingsError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


def private(file: Path, content: bytes) -> Path:
    """Write the file with mode 0600."""
    file.write_bytes(content)
    file.chmod(0o600)
    return file


@contextmanager
def no_room() -> Iterator[None]:
    """Let this process make files, and write nothing into them: a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
