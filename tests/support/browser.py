"""Chromium of Debian, driven by Playwright; it trusts the keys of the servers under test alone."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

CHROMIUM = "/usr/bin/chromium"
WIDTHS = (390, 1280)
_MILLISECONDS = 30_000
"""The patience with a page; an `expect` would give a busy machine five seconds."""
_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
)  # fmt: skip


@contextmanager
def chromium(*certificates: Path, names: Mapping[str, int] = MappingProxyType({})) -> Iterator[Browser]:
    """Run a browser that trusts servers with the keys of these certificates, and no other certificate errors.

    `names` are hosts whose port 443 is a port of this machine; no other name but localhost is found. The
    browser must end before the tests of another module begin: Playwright keeps an event loop running.
    """
    mapped = [f"MAP {name}:443 127.0.0.1:{port}" for name, port in names.items()]
    rules = ", ".join([*mapped, "MAP * ~NOTFOUND", "EXCLUDE localhost", "EXCLUDE 127.0.0.1"])
    keys = ",".join(_key_hash(file.read_bytes()) for file in certificates)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                *_ARGUMENTS,
                f"--ignore-certificate-errors-spki-list={keys}",
                f"--host-resolver-rules={rules}",
            ],
        )
        yield browser
        browser.close()


@contextmanager
def visiting(browser: Browser, **options: object) -> Iterator[Page]:
    """Open the page of a new visitor, without cookies of another; options are those of a context."""
    context: BrowserContext = browser.new_context(locale="en", **options)  # type: ignore[arg-type]
    context.set_default_timeout(_MILLISECONDS)
    expect.set_options(timeout=_MILLISECONDS)
    yield context.new_page()
    context.close()


def _key_hash(pem: bytes) -> str:
    certificate = x509.load_pem_x509_certificate(pem)
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(sha256(key).digest()).decode()
