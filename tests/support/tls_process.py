"""A server process of the tests: `python -m tests.support.tls_process '{"folder": ..., "workers": 2}'`."""

import json
import logging
import os
import resource
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server import prefork
from macaroon_cbat.tls import Limits, serve
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.parking_application import ParkingApplication
from tests.support.tls_application import make_application

log = logging.getLogger("tests")


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _be_surrounded(settings: dict[str, Any]) -> None:
    """Take out the settings of what is around the server."""
    if settings.pop("is_without_uvloop", False):
        sys.modules["uvloop"] = None  # type: ignore[assignment]  # as if it were not installed
    if settings.pop("is_without_temporary_folder", False):
        tempfile.tempdir = "/nonexistent"
    if "open_files" in settings:
        resource.setrlimit(resource.RLIMIT_NOFILE, settings.pop("open_files"))
    if settings.pop("is_nohup", False):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if "longest_delay" in settings:
        prefork.LONGEST_DELAY = settings.pop("longest_delay")


def main() -> None:
    """Serve as the settings say; say `ready PORT`, or `settings MESSAGE` and end with 2."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    folder = Path(settings.pop("folder"))
    limits = Limits(**settings.pop("limits", {}))
    behaviour = settings.pop("make_app", "")
    _be_surrounded(settings)
    files, main_process = development_certificates(folder), os.getpid()
    logging.basicConfig(level=logging.INFO)

    def make_app() -> Any:
        if behaviour == "hangs up":
            for pid in {main_process, os.getpid()}:
                os.kill(pid, signal.SIGHUP)
        if behaviour == "refuses" or (folder / "broken").exists():
            raise SettingsError("the database is not there")
        if behaviour == "dies":
            os._exit(9)
        return ParkingApplication(folder / "parked") if behaviour == "parks" else make_application(folder)

    try:
        serve(
            make_app,
            certificate=Path(settings.pop("certificate", files.certificate)),
            key=Path(settings.pop("key", files.key)),
            limits=limits,
            renew=partial(development_certificates, folder),
            on_hangup=lambda: log.info("hangup in %d", os.getpid()),
            on_certificate=lambda seconds: log.info("expires %d in %d", seconds, os.getpid()),
            on_ready=lambda _, port: say(f"ready {port}"),
            **{"port": 0, **settings},
        )
    except SettingsError as error:
        say(f"settings {error}")
        sys.exit(2)
    say("ended")


if __name__ == "__main__":
    main()
