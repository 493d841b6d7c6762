"""A server process of the tests: `python -m tests.tls.serving '{"folder": ..., "workers": 2}'`."""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.tls.development import development_certificates
from macaroon_cbat.tls.server import Limits, serve
from tests.tls.application import make_application


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve as the settings say; say `ready PORT`, or `settings MESSAGE` and end with 2."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    folder = Path(settings.pop("folder"))
    limits = Limits(**settings.pop("limits", {}))
    behaviour = settings.pop("make_app", "")
    files = development_certificates(folder)
    logging.basicConfig(level=logging.INFO)

    def make_app() -> Any:
        if behaviour == "refuses":
            raise SettingsError("the database is not there")
        if behaviour == "dies":
            os._exit(9)
        return make_application(folder)

    try:
        serve(
            make_app,
            certificate=Path(settings.pop("certificate", files.certificate)),
            key=Path(settings.pop("key", files.key)),
            limits=limits,
            on_ready=lambda _, port: say(f"ready {port}"),
            **{"port": 0, **settings},
        )
    except SettingsError as error:
        say(f"settings {error}")
        sys.exit(2)
    say("ended")


if __name__ == "__main__":
    main()
