"""Another user of the machine, as a process that has no rights of ours."""

import encodings.idna  # noqa: F401 # used at the first look-up of a name: the other user may not read it
import os
import resource
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from macaroon_cbat.macaroon.keys import audience_keys, write_key_file
from tests.support.tokens import API, ISSUER, ROOT

ANOTHER_USER = 65534
KEYS = write_key_file(audience_keys(ISSUER, API, [ROOT]))
FORGED = write_key_file(audience_keys("https://evil.example", API, [ROOT]))


NO_ID = 0xFFFFFFFF


def acl(*entries: tuple[int, int, int]) -> bytes:
    """Return an access control list as Linux keeps it: version 2, then tag, permissions and id."""
    return (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little") + permissions.to_bytes(2, "little") + who.to_bytes(4, "little")
        for tag, permissions, who in entries
    )


def granting(tag: int, who: int) -> bytes:
    """Return the list that lets one further user (tag 2) or group (tag 8) read."""
    owner, group, mask, other = (1, 6, NO_ID), (4, 0, NO_ID), (16, 4, NO_ID), (32, 0, NO_ID)
    return (
        acl(owner, (2, 4, who), group, mask, other)
        if tag == 2
        else acl(owner, group, (8, 4, who), mask, other)
    )


def act_as_another(script: str, *, folder: Path, standard_input: bytes = b"") -> None:
    """Run a shell script as a user that owns nothing here."""
    command = ["sh", "-ec", script]
    subprocess.run(
        command,
        cwd=folder,
        input=standard_input,
        check=True,
        user=ANOTHER_USER,
        group=ANOTHER_USER,
        extra_groups=[],
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
        except Exception as error:  # noqa: BLE001 # the parent says what was wrong
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
