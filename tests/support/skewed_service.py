"""The service with a clock of its own: `python -m tests.support.skewed_service DATA PORT SECONDS_AHEAD`."""

import sys
import time
from pathlib import Path

from macaroon_cbat.service import create_app
from macaroon_cbat.service.settings import settings_from_environment
from macaroon_cbat.tls.development_ca import development_certificates
from macaroon_cbat.tls.server import serve


def main() -> None:
    """Serve until SIGTERM."""
    data, port, ahead = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    settings = settings_from_environment(data=data, issuer=f"https://localhost:{port}")
    files = development_certificates(data)
    serve(
        lambda: create_app(settings, clock=lambda: time.time() + ahead),
        port=port,
        certificate=files.certificate,
        key=files.key,
        on_ready=lambda *_: print("ready", flush=True),  # noqa: T201 # the test waits for it
    )


if __name__ == "__main__":
    main()
