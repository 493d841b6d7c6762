"""The checker of length and language that `scripts/check` runs."""

import subprocess
from pathlib import Path

import pytest

from scripts.laws_of_style import laws

ROOT = Path(__file__).parents[2]
NO = "no"  # the laws are held here, too: no word is written that they forbid
BREACHES = {
    "module docstring": ('"""What it does."""\n', "opens with 'What'"),
    "class docstring": ('class A:\n    """Where it is."""\n', "opens with 'Where'"),
    "function docstring": ('def a():\n    """Whose it is."""\n', "opens with 'Whose'"),
    "method docstring": ('class A:\n    def a(self):\n        """By hand."""\n', "opens with 'By'"),
    "value docstring": ('a = 1\n"""When it ends."""\n', "opens with 'When'"),
    "message": (f'raise ValueError("{NO}body may")\n', f"'{NO}body' hides the actor"),
    "f-string": (f'a = f"{{1}} for {NO}body {{2}}"\n', f"'{NO}body' hides the actor"),
    "field docstring": (f'a = 1\n"""{NO.title()}body wrote it."""\n', f"'{NO.title()}body' hides the actor"),
    "name": (f"def test_{NO}body_passes(): ...\n", f"'{NO}body' hides the actor"),
    "comment": (f"a = 1  # {NO}body reads this\n", f"'{NO}body' hides the actor"),
    "long file": ("a = 1\n" * 251, "251 lines long"),
    "long function": ("def a():\n" + "    b = 1\n" * 31, "a is 31 lines long"),
}
ALLOWED = {
    "noun phrase": '"""The whatnot of a thing."""\n',
    "part of a word": f"busy{NO}body = 1\n",
    "length": "def a():\n" + "    b = 1\n" * 30,
    "blank lines": "def a():\n" + "    b = 1\n\n" * 30,
}


def found_in(tmp_path: Path, source: str) -> str:
    module = tmp_path / "m.py"
    module.write_text(source)
    return shown(laws.findings(module, "m.py"))


def shown(findings: list[laws.Finding]) -> str:
    return "\n".join(map(str, findings))


@pytest.mark.parametrize(("source", "what"), BREACHES.values(), ids=BREACHES)
def test_a_breach_is_found(tmp_path, source, what):
    """Each law is broken by one module, and the checker says where and how."""
    assert found_in(tmp_path, source).startswith("m.py:")
    assert what in found_in(tmp_path, source)


@pytest.mark.parametrize("source", ALLOWED.values(), ids=ALLOWED)
def test_what_is_no_breach_is_let_be(tmp_path, source):
    """The checker finds nothing in what the laws allow."""
    assert found_in(tmp_path, source) == ""


@pytest.mark.parametrize("place", ["", "class A:\n    ", "def a():\n    ", "async def a():\n    "])
@pytest.mark.parametrize("words", ["What it does.", "Whatever it does."])
def test_a_test_or_script_names_the_thing(tmp_path, words, place):
    """Each docstring of a test module or a script is held to its opening."""
    module = tmp_path / "test_it.py"
    module.write_text(f'{place}"""{words}"""\n')
    assert "name the thing instead" in shown(laws.opening(module, "m.py"))


@pytest.mark.parametrize("source", [f'comment = "{NO}body"', f"expect = {NO}body", f"# for {NO}body"])
@pytest.mark.parametrize("check", [laws.findings, laws.opening, laws.nameless], ids=lambda it: it.__name__)
def test_an_actor_is_named_in_every_file(tmp_path, source, check):
    """No word that hides the actor stands in a module, a test, a script or a file of words or values."""
    file = tmp_path / "file"
    file.write_text(f"a = 1\n{source}\n")
    [found] = check(file, "file")
    assert str(found).startswith(f"file:2: '{NO}body' hides the actor")


def test_the_check_holds_the_laws():
    """`scripts/check` runs the checker, and compares the tables of the guide."""
    lines = (ROOT / "scripts" / "check").read_text().splitlines()
    assert {"scripts/laws", "scripts/guide-tables --check"} <= set(lines)


def test_the_list_counts_and_does_not_fail():
    """`scripts/laws --list` counts the findings of each folder, and is no refusal."""
    command = [ROOT / "scripts" / "laws", "--list"]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].endswith(" findings")
