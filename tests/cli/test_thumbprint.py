import hashlib
import subprocess

import pytest

from tests.support.command_line import COMMAND, ROOT, call, complaint, environment, out, run


@pytest.mark.parametrize("spelling", ["pem", "der"])
def test_the_thumbprint_of_a_file(tmp_path, identity, spelling):
    """`thumbprint FILE` prints the x5t#S256 of a PEM or DER certificate, and nothing else."""
    file = tmp_path / "certificate"
    file.write_bytes(getattr(identity, spelling))
    assert out("thumbprint", file) == identity.thumbprint + "\n"


@pytest.mark.parametrize("spelling", ["pem", "der"])
def test_the_thumbprint_of_standard_input(identity, spelling):
    """`thumbprint -` reads the certificate from standard input, in a real process, binary or text."""
    done = run("thumbprint", "-", stdin=getattr(identity, spelling))
    assert (done.returncode, done.stdout, done.stderr) == (0, identity.thumbprint.encode() + b"\n", b"")


def test_it_is_what_openssl_says(tmp_path, identity):
    """The thumbprint is the SHA-256 of the DER bytes, as openssl computes it."""
    (tmp_path / "c.pem").write_bytes(identity.pem)
    script = (
        f"openssl x509 -in {tmp_path}/c.pem -outform DER | openssl dgst -sha256 -binary |"
        " openssl base64 -A | tr '+/' '-_' | tr -d ="
    )
    said = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout.decode()
    assert out("thumbprint", tmp_path / "c.pem").strip() == said
    assert len(hashlib.sha256(identity.der).digest()) == 32


def test_a_key_beside_the_certificate_does_not_matter(certificate, identity):
    """The first certificate in a PEM file counts, whatever else is in it."""
    assert out("thumbprint", certificate).strip() == identity.thumbprint
    certificate.write_bytes(identity.key_pem + b"text\n" + identity.pem)
    assert out("thumbprint", certificate).strip() == identity.thumbprint


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="missing"),
        pytest.param(b"", id="empty"),
        pytest.param(b"nonsense", id="nonsense"),
        pytest.param(b"\x30\x03\x02\x01", id="cut short"),
        pytest.param(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", id="a key only"),
        pytest.param(b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n", id="broken base64"),
    ],
)
def test_what_is_no_certificate_is_one_line(tmp_path, content):
    """A file without a certificate is one line that names it, with status 2."""
    file = tmp_path / "x.pem"
    if content is not None:
        file.write_bytes(content)
    assert str(file) in complaint(call("thumbprint", file), 2)


def test_a_folder_is_no_file(tmp_path):
    """A folder instead of a file is wrong usage."""
    assert call("thumbprint", tmp_path).exit_code == 2
    assert call("thumbprint").exit_code == 2


def test_it_goes_into_a_pipe(certificate, identity):
    """The output is what a script can use at once."""
    script = f'test "$({" ".join(COMMAND)} thumbprint {certificate})" = "{identity.thumbprint}"'
    subprocess.run(["bash", "-c", script], cwd=ROOT, env=environment(), check=True)
