"""Every door through which a certificate comes in as a file reads it alike."""

import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support import fork_server
from tests.support.certificate_files import ISSUER, LEAF, READ, SKIPPED, bundle, store
from tests.support.command_line import (
    API,
    COMMAND,
    ROOT,
    call,
    complaint,
    environment,
    members,
    out,
    run,
    token,
)

DOORS = {
    "thumbprint": "thumbprint",
    "attenuate": "token attenuate --cert",
    "verify": f"token verify --audience {API} --keys {{keys}} --cert",
    "mint": "token mint --issuer https://localhost:1 --client-id a --cert",
    "client add": "client add a --scope read --data {data} --auth self_signed_tls_client_auth --certificate",
    "revoke": "revoke --data {data} certificate",
}
WRONG = {
    "a leaf that openssl skips": SKIPPED["indented"] + b"\n" + ISSUER.pem,
    "PKCS#7 labelled CERTIFICATE": SKIPPED["PKCS#7 labelled CERTIFICATE"],
    "the issuer first": ISSUER.pem + LEAF.pem,
    "PKCS#12": store(None),
    "PKCS#7 in DER": bundle(Encoding.DER),
    "empty": b"",
}


@pytest.fixture
def arguments(keys: Path, data: Path):
    """Return what calls a door with a file."""

    def of(door: str, file: Path) -> list[str]:
        return [*DOORS[door].format(keys=keys, data=data).split(), str(file)]

    return of


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_no_door_takes_another_certificate(tmp_path, arguments, door, content):
    """A file that is not a leaf with its chain is one line that begins with its name, at every door."""
    file = tmp_path / "client.p12"
    file.write_bytes(content)
    line = complaint(call(*arguments(door, file), stdin=token()), 2)
    assert line.startswith(
        (f"Error: {file} is ", f"Error: {file} begins with the certificate of an issuer: ")
    )


@pytest.mark.parametrize("door", DOORS)
def test_a_file_without_end_is_not_read_to_its_end(arguments, door):
    """A file larger than any certificate is an error, and fills no memory."""
    line = complaint(call(*arguments(door, Path("/dev/zero")), stdin=token()), 2)
    assert line == "Error: /dev/zero is larger than 1 MiB: name a file with the client's certificate alone"


@pytest.mark.parametrize("door", DOORS)
def test_a_folder_is_no_certificate(tmp_path, arguments, door):
    """A folder in the place of a certificate's file is wrong usage."""
    assert call(*arguments(door, tmp_path), stdin=token()).exit_code == 2


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_every_door_takes_the_leaf(tmp_path, data, content):
    """The commands hash, bind to, register and revoke the certificate that openssl reads of a file."""
    file = tmp_path / "client.pem"
    file.write_bytes(content)
    assert out("thumbprint", file) == LEAF.thumbprint + "\n"
    child = out("token", "attenuate", "--cert", file, stdin=token()).strip()
    assert read_macaroon(child).caveats[-1] == b'{"cnf":{"x5t#S256":"%s"}}' % LEAF.thumbprint.encode()
    register = ("--scope", "read", "--auth", "self_signed_tls_client_auth", "--certificate", file)
    assert members("client", "add", "a", *register, "--data", data)["certificates"] == [LEAF.thumbprint]
    assert LEAF.thumbprint in out("revoke", "certificate", file, "--data", data)


def test_standard_input_is_named(identity):
    """A file that comes in on standard input is called standard input."""
    done = run("thumbprint", "-", stdin=store(None))
    assert done.stderr.startswith(b"Error: standard input is a PKCS#12 store: extract")
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_certificate_comes_through_a_pipe(tmp_path, data):
    """A certificate to be revoked may come through a named pipe, such as a shell's <(...)."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [*COMMAND, "revoke", "certificate", str(pipe), "--data", str(data)]
    process = fork_server.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE)
    pipe.write_bytes(LEAF.pem)
    assert LEAF.thumbprint.encode() in process.communicate(timeout=60)[0]
