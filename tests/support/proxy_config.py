"""Generated configurations of proxies."""

from pathlib import Path

from click.testing import CliRunner, Result

from macaroon_cbat.cli import main

GATEWAY = ("--gateway", "127.0.0.1:9191")


def generate(proxy: str, *options: object, **changes: str) -> Result:
    settings = {
        "--listen": "127.0.0.1:8443",
        "--http-listen": "127.0.0.1:8080",
        "--upstream": "127.0.0.1:8000",
        "--cert": "/etc/ssl/api.pem",
        **{f"--{name.replace('_', '-')}": value for name, value in changes.items()},
    }
    arguments = ["proxy-config", proxy, *(part for pair in settings.items() for part in pair)]
    return CliRunner().invoke(main, [*arguments, *map(str, options)])


def texts(proxy: str, folder: Path, *options: object, **changes: str) -> str:
    """Return all files of a configuration in one piece."""
    done = generate(proxy, *options, "--output", folder, **changes)
    assert done.exit_code == 0, done.output
    return "".join(file.read_text() for file in sorted(folder.iterdir()))
