"""X.509-SVIDs as SPIRE issues them, and the bundles of their trust domains."""

import json
from base64 import b64encode
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.support.certificates import TODAY, Identity, authority, certified

SUBJECT = "C=US,O=SPIRE"


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def domain_ca(domain: str | None, issuer: Identity | None = None, today: datetime = TODAY) -> Identity:
    """Return the CA of a trust domain, which it names; of none, as an upstream authority is."""
    names = () if domain is None else (uri(f"spiffe://{domain}"),)
    return authority(SUBJECT, issuer, names=names, today=today)


def svid(issuer: Identity, *uris: str, **options: Any) -> Identity:
    """Return the SVID of a workload with these URIs."""
    return certified(SUBJECT, issuer, names=(*map(uri, uris), *options.pop("beside", ())), **options)


def json_bundle(*authorities: Identity, use: str = "x509-svid") -> bytes:
    """Return a bundle as SPIFFE's JSON, which has the keys of JWT-SVIDs beside."""
    keys = [{"kty": "EC", "use": use, "x5c": [b64encode(one.der).decode()]} for one in authorities]
    jwt = {"kty": "EC", "use": "jwt-svid", "kid": "1", "crv": "P-256", "x": "AA", "y": "AA"}
    return json.dumps({"keys": [*keys, jwt], "spiffe_sequence": 1, "spiffe_refresh_hint": 300}).encode()


def named_in_a_setting(**files: Path) -> str:
    """Return the setting for these files; _ in a name is the dot of the trust domain."""
    return ",".join(f"{name.replace('_', '.')}={file}" for name, file in files.items())


def with_key_usage(issuer: Identity, spiffe_id: str, bits: str) -> Identity:
    """Return an SVID with a key usage that is wrong in these bits, or with none."""
    key, name = issuer.key, issuer.certificate.subject
    wrong = {"no digital_signature": {"digital_signature": False}}.get(bits, {bits: True})
    plain = dict.fromkeys(_BITS, False) | {"digital_signature": True}
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(issuer.certificate.not_valid_before_utc)
        .not_valid_after(issuer.certificate.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([uri(spiffe_id)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    if bits != "none":
        builder = builder.add_extension(x509.KeyUsage(**(plain | wrong)), critical=True)
    return Identity(builder.sign(key, hashes.SHA256()), key)


_BITS = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)
