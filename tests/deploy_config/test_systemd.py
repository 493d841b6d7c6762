"""A hardened unit: systemd's own tool reads it, and rates how much of the host it can reach."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.deploy_config import ISSUER, written

PROGRAM = Path(sys.prefix) / "bin" / "macaroon-cbat"


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    "options", [(), ("--database-url-file", "/etc/macaroon-cbat/url")], ids=["SQLite", "PostgreSQL"]
)
def test_systemd_accepts_the_unit(options: tuple[str, ...], tmp_path: Path):
    """Systemd finds no unknown setting and no missing command in the unit and its socket."""
    written("systemd", tmp_path, *ISSUER, "--program", PROGRAM, *options)
    done = analyze("verify", "--man=no", tmp_path / "macaroon-cbat.service")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_would_refuse_a_wrong_unit(tmp_path: Path):
    """Systemd names a setting that it does not know: silence of the tool is no accident."""
    unit = written("systemd", tmp_path, *ISSUER, "--program", PROGRAM) / "macaroon-cbat.service"
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHouse="))
    assert "ProtectHouse" in analyze("verify", "--man=no", unit).stderr


def test_the_unit_is_rated_as_little_exposed(tmp_path: Path):
    """The exposure of the unit is below 2 of 10, in the words of systemd OK."""
    unit = written("systemd", tmp_path, *ISSUER, "--program", PROGRAM) / "macaroon-cbat.service"
    done = analyze("security", "--offline=true", "--threshold=20", unit)
    assert done.returncode == 0, done.stdout


def test_secrets_are_credentials(tmp_path: Path):
    """The unit hands secrets over as credentials, whose files the service alone can read."""
    url = "/etc/macaroon-cbat/url"
    text = (
        written("systemd", tmp_path, *ISSUER, "--database-url-file", url) / "macaroon-cbat.service"
    ).read_text()
    assert f"LoadCredential=database-url:{url}\n" in text
    assert "LoadCredential=wrapping-key:" in text
    assert not any(
        line.startswith(
            ("Environment=MACAROON_CBAT_DATABASE_URL=", "Environment=MACAROON_CBAT_WRAPPING_KEY=")
        )
        for line in text.splitlines()
    )
