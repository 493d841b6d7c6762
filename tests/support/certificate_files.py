"""Files that hold a leaf and its issuer's certificate, in many shapes, and what openssl reads of them."""

import re
import subprocess
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from tests.support.certificates import Identity, authority, certified

ISSUER = authority("CN=Intermediate CA", authority("CN=Root CA"))
LEAF = certified("CN=client", ISSUER)
STRANGER = certified("CN=stranger")


@cache
def request() -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder().subject_name(LEAF.certificate.subject)
    return builder.sign(LEAF.key, hashes.SHA256())


@cache
def revocation_list() -> x509.CertificateRevocationList:
    one = ISSUER.certificate
    builder = x509.CertificateRevocationListBuilder().issuer_name(one.subject)
    builder = builder.last_update(one.not_valid_before_utc).next_update(one.not_valid_after_utc)
    return builder.sign(ISSUER.key, hashes.SHA256())


def bundle(encoding: serialization.Encoding) -> bytes:
    return pkcs7.serialize_certificates([LEAF.certificate, ISSUER.certificate], encoding)


def store(password: bytes | None) -> bytes:
    kind: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password is not None:
        kind = serialization.BestAvailableEncryption(password)
    return pkcs12.serialize_key_and_certificates(
        b"client", LEAF.key, LEAF.certificate, [ISSUER.certificate], kind
    )


def key(kind: str, encoding: str = "DER") -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if kind == "encrypted":
        encryption = serialization.BestAvailableEncryption(b"sesame")
    form = (
        serialization.PrivateFormat.TraditionalOpenSSL
        if kind == "SEC1"
        else serialization.PrivateFormat.PKCS8
    )
    return LEAF.key.private_bytes(getattr(serialization.Encoding, encoding), form, encryption)


def public_key(encoding: str = "DER") -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return LEAF.key.public_key().public_bytes(getattr(serialization.Encoding, encoding), form)


@cache
def trusted(identity: Identity) -> bytes:
    """Return the certificate as openssl writes one with its uses."""
    command = ["openssl", "x509", "-trustout", "-addtrust", "clientAuth", "-setalias", "it"]
    return subprocess.run(command, input=identity.pem, capture_output=True, check=True).stdout


def relabelled(pem: bytes, label: bytes) -> bytes:
    return re.sub(rb"(BEGIN|END) [A-Z0-9 #]+-", rb"\1 " + label + b"-", pem)


def openssl_reads(content: bytes, folder: Path) -> bytes:
    """Return the DER that `openssl x509 -in FILE -outform DER` writes; nothing where it fails."""
    (folder / "file").write_bytes(content)
    command = ["openssl", "x509", "-in", str(folder / "file"), "-outform", "DER"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).stdout


LINES = LEAF.pem.splitlines(keepends=True)

READ = {
    "plain": LEAF.pem,
    "a chain": LEAF.pem + ISSUER.pem,
    "DER": LEAF.der,
    "a space at each line's end": LEAF.pem.replace(b"\n", b" \n") + ISSUER.pem,
    "tabs at each line's end": LEAF.pem.replace(b"\n", b"\t\t\n") + ISSUER.pem,
    "CRLF": (LEAF.pem + ISSUER.pem).replace(b"\n", b"\r\n"),
    "CRLF before LF": LEAF.pem.replace(b"\n", b"\r\n") + ISSUER.pem,
    "TRUSTED CERTIFICATE": trusted(LEAF) + ISSUER.pem,
    "TRUSTED CERTIFICATE without uses": relabelled(LEAF.pem, b"TRUSTED CERTIFICATE") + ISSUER.pem,
    "X509 CERTIFICATE": relabelled(LEAF.pem, b"X509 CERTIFICATE") + ISSUER.pem,
    "text before": b"Bag Attributes\n    localKeyID: 01\nsubject=CN = client\n" + LEAF.pem + ISSUER.pem,
    "text between": LEAF.pem + b"the issuer:\n" + ISSUER.pem + b"and that is all",
    "byte order mark": b"\xef\xbb\xbf" + LEAF.pem + ISSUER.pem,
    "no newline at the end": LEAF.pem.rstrip(),
    "in one line": LINES[0] + LEAF.pem.replace(b"\n", b"")[27:-25] + b"\n" + LINES[-1] + ISSUER.pem,
    "a key before": key("PKCS8", "PEM") + LEAF.pem + ISSUER.pem,
    "a key between": LEAF.pem + key("SEC1", "PEM") + ISSUER.pem,
    "an encrypted key": key("encrypted", "PEM") + LEAF.pem,
    "a request before": request().public_bytes(serialization.Encoding.PEM) + LEAF.pem,
    "a revocation list before": revocation_list().public_bytes(serialization.Encoding.PEM) + LEAF.pem,
    "the leaf twice": LEAF.pem + LEAF.pem + ISSUER.pem,
}
"""Files whose leaf openssl and we read."""

SKIPPED = {
    "indented": b" " + LEAF.pem.replace(b"\n", b"\n "),
    "text before on the line": b"client: " + LEAF.pem,
    "text after on the line": LEAF.pem.replace(b"E-----\n", b"E-----x\n"),
    "a byte order mark within": b"\n\xef\xbb\xbf" + LEAF.pem,
    "headers": LEAF.pem.replace(b"E-----\n", b"E-----\nProc-Type: 4,CLEAR\n\n", 1),
    "an empty line within": LINES[0] + LINES[1] + b"\n" + b"".join(LINES[2:]),
    "a comment within": LINES[0] + b"# mine\n" + b"".join(LINES[1:]),
    "four dashes": LEAF.pem.replace(b"-----BEGIN", b"----BEGIN"),
    "six dashes": LEAF.pem.replace(b"-----", b"------"),
    "dashes of a word processor": LEAF.pem.replace(b"-----", "\N{EN DASH}".encode() * 5),
    "lower case": LEAF.pem.replace(b"BEGIN CERTIFICATE", b"begin certificate"),
    "two spaces": LEAF.pem.replace(b"BEGIN CERT", b"BEGIN  CERT"),
    "another label": relabelled(LEAF.pem, b"CLIENT CERTIFICATE"),
    "another end": LEAF.pem.replace(b"END CERTIFICATE", b"END X509 CERTIFICATE"),
    "no end": b"".join(LINES[:-1]),
    "cut short": b"".join(LINES[:3]),
    "broken base64": LEAF.pem.replace(LINES[2][:4], b"!\xc2\xa0!"),
    "a character less": LEAF.pem.replace(LINES[1], LINES[1][1:]),
    "CR": LEAF.pem.replace(b"\n", b"\r"),
    "UTF-16": LEAF.pem.decode().encode("utf-16"),
    "UTF-16 without a mark": LEAF.pem.decode().encode("utf-16-le"),
    "DER": LEAF.der,
    "PKCS#7": bundle(serialization.Encoding.PEM),
    "PKCS#7 labelled CERTIFICATE": relabelled(bundle(serialization.Encoding.PEM), b"CERTIFICATE"),
    "a request labelled CERTIFICATE": relabelled(
        request().public_bytes(serialization.Encoding.PEM), b"CERTIFICATE"
    ),
    "another bit of its version": LEAF.pem.replace(b"MII", b"MIH", 1),
    "no boundaries": b"".join(LINES[1:-1]),
    "no boundaries, in one line": LEAF.pem.replace(b"\n", b"")[27:-25],
    "boundaries in a comment": b"".join(b"# " + line for line in LINES[1:-1]),
    "boundaries without dashes": LEAF.pem.replace(b"-----", b""),
    "boundaries over two lines": LEAF.pem.replace(b"BEGIN CERT", b"BEGIN\nCERT"),
    "a quoted mail": b"".join(b"> " + line for line in LINES),
    "PKCS#12 in PEM": relabelled(LEAF.pem, b"PKCS12"),
}
"""Spellings of a leaf before which openssl takes the issuer after it, or fails."""


def with_latin_1(folder: Path) -> tuple[bytes, bytes]:
    """Return a leaf and its issuer, PEM, whose names are T61Strings in Latin-1, as older CAs make them."""
    (folder / "config").write_text(
        "[req]\nstring_mask=nombstr\ndistinguished_name=dn\n[dn]\n[v3]\nextendedKeyUsage=clientAuth\n"
    )
    made = ("openssl", "req", "-config", "config", *CURVE)
    signed = (
        "openssl x509 -req -in csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile config -extensions v3"
    )
    for command in (
        (*made, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", b"/CN=M\xfcller CA"),
        (*made, "-keyout", "key", "-out", "csr", "-subj", b"/CN=M\xfcller"),
        (*signed.split(), "-out", "leaf.pem"),
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return (folder / "leaf.pem").read_bytes(), (folder / "ca.pem").read_bytes()


CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
