"""Elements of Envoy's X-Forwarded-Client-Cert."""

from collections.abc import Callable
from pathlib import Path

QUOTED_ONLY = "{subject: true, cert: true, chain: true, issuer: true}"


def saying(details: str) -> Callable[[Path], None]:
    """Return an edit by which Envoy says more than its hash about a certificate."""

    def edit(folder: Path) -> None:
        file = folder / "envoy.yaml"
        text, mark = file.read_text(), "forward_client_cert_details: SANITIZE_SET\n"
        assert text.count(mark) == 1
        more = f"                set_current_client_cert_details: {details}\n"
        file.write_text(text.replace(mark, f"{mark}{more}"))

    return edit
