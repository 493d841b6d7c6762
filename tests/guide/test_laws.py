"""The checker of length and language that `scripts/check` runs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOW = (
    "import sys; from pathlib import Path; from laws_of_style.laws import findings; "
    "print(*findings(Path(sys.argv[1]), 'm.py'), sep='\\n')"
)
BREACHES = {
    "module docstring": ('"""What it does."""\n', "opens with 'What'"),
    "class docstring": ('class A:\n    """Where it is."""\n', "opens with 'Where'"),
    "function docstring": ('def a():\n    """Whose it is."""\n', "opens with 'Whose'"),
    "method docstring": ('class A:\n    def a(self):\n        """By hand."""\n', "opens with 'By'"),
    "message": ('raise ValueError("nobody may")\n', "'nobody' hides the actor"),
    "f-string": ('a = f"{1} for Whoever asks {2}"\n', "'Whoever' hides the actor"),
    "field docstring": ('a = 1\n"""Somebody wrote it."""\n', "'Somebody' hides the actor"),
    "long file": ("a = 1\n" * 251, "251 lines long"),
    "long function": ("def a():\n" + "    b = 1\n" * 31, "a is 31 lines long"),
}
ALLOWED = {
    "noun phrase": '"""The whatnot of a thing."""\n',
    "comment": "a = 1  # nobody reads this\n",
    "length": "def a():\n" + "    b = 1\n" * 30,
    "blank lines": "def a():\n" + "    b = 1\n\n" * 30,
}


def shown(tmp_path: Path, source: str) -> str:
    module = tmp_path / "m.py"
    module.write_text(source)
    return subprocess.run(
        [sys.executable, "-c", SHOW, str(module)],
        cwd=ROOT / "scripts",
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    ).stdout.strip()


@pytest.mark.parametrize(("source", "what"), BREACHES.values(), ids=BREACHES)
def test_a_breach_is_found(tmp_path, source, what):
    """Each law is broken by one module, and the checker says where and how."""
    assert shown(tmp_path, source).startswith("m.py:")
    assert what in shown(tmp_path, source)


@pytest.mark.parametrize("source", ALLOWED.values(), ids=ALLOWED)
def test_what_is_no_breach_is_let_be(tmp_path, source):
    """The checker finds nothing in what the laws allow."""
    assert shown(tmp_path, source) == ""


def test_the_check_holds_the_laws():
    """`scripts/check` runs the checker, and compares the tables of the guide."""
    lines = (ROOT / "scripts" / "check").read_text().splitlines()
    assert {"scripts/laws", "scripts/guide-tables --check"} <= set(lines)


def test_the_list_counts_and_does_not_fail():
    """`scripts/laws --list` counts the findings of each folder, and is no refusal."""
    command = [ROOT / "scripts" / "laws", "--list"]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=100)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].endswith(" findings")
