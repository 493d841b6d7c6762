"""Fresh virtual environments with the wheel and the libraries of one extra."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment of one interpreter; `extra` "plain" is the installation without extras.

    `pins` is a constraints file, None for the newest versions.
    """

    folder: Path
    python: str
    extra: str
    wheel: Path
    pins: Path | None

    def __str__(self) -> str:
        """Return interpreter and extra, for a line of the report."""
        return f"{self.python} {self.extra}"

    @property
    def _place(self) -> Path:
        return self.folder / (self.python.strip("/").replace("/", "_") + "-" + self.extra)

    @property
    def _own_python(self) -> Path:
        return self._place / "bin/python"

    def install(self) -> None:
        """Make the environment, and install the wheel as a user does."""
        self._call(self.python, "-m", "venv", "--without-pip", str(self._place))
        wanted = str(self.wheel) if self.extra == "plain" else f"{self.wheel}[{self.extra}]"
        pins = [] if self.pins is None else ["--constraint", str(self.pins)]
        pip = (sys.executable, "-m", "pip", "--python", str(self._own_python), "--disable-pip-version-check")
        self._call(*pip, "install", "-qq", *pins, wanted)
        self._call(*pip, "check")

    def run(self, code: str) -> None:
        """Run code in the environment, and nothing of the repository with it."""
        self._call(str(self._own_python), "-I", "-c", code, str(self._place / "bin/macaroon-cbat"))

    def size(self) -> tuple[int, int]:
        """Return the number of distributions and the megabytes of all of them, compiled files included."""
        [site] = (self._place / "lib").glob("python*/site-packages")
        size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file())
        return len([*site.glob("*.dist-info")]), round(size / 1e6)

    def _call(self, *command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, text=True, cwd=self.folder, timeout=300)
