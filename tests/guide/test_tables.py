"""The generated tables of the guide."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "macaroon_cbat" / "guide"
CHAPTERS = ("audit-events", "errors", "formats", "metrics", "settings")
ROWS = [
    (chapter, line)
    for chapter in CHAPTERS
    for line in (GUIDE / f"{chapter}.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| variable", "| setting"))
]
NAMES = "from guide_tables.metrics import metric_names; print(*sorted(metric_names()), sep='\\n')"
REGISTERED = """
import prometheus_client
from macaroon_cbat.errors import Inactive, Unavailable
from macaroon_cbat.resource import metrics as resource
from macaroon_cbat.service import metrics as service
service.start_counting()
resource.count_refused(Inactive(""))
resource.count_unavailable(Unavailable(""))
families = prometheus_client.REGISTRY.collect()
print(*sorted(one.name + "_total" for one in families if one.name.startswith("macaroon_cbat_")), sep="\\n")
"""


def in_scripts(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, program, *arguments],
        cwd=ROOT / "scripts",
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def test_every_table_is_what_the_code_says():
    """The committed tables are those that `scripts/guide-tables` writes."""
    command = [ROOT / "scripts" / "guide-tables", "--check"]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_table_is_found(tmp_path):
    """A table that differs from the code is replaced, and the words around it stay."""
    program = (
        "from guide_tables.chapters import with_tables\n"
        "text = 'before\\n<!-- table: metrics -->\\n| old |\\n<!-- end of table -->\\nafter\\n'\n"
        "print(with_tables(text))"
    )
    done = in_scripts("-c", program)
    assert done.stdout.startswith("before\n<!-- table: metrics -->\n| shown by |")
    assert done.stdout.endswith("<!-- end of table -->\nafter\n\n")
    assert "| old |" not in done.stdout


@pytest.mark.parametrize(("chapter", "row"), ROWS, ids=[f"{chapter} {row[2:50]}" for chapter, row in ROWS])
def test_every_row_says_something(chapter, row):
    """No row lacks its meaning: each setting, event, format, metric and error has words in the code."""
    assert row.split(" | ")[-1].removesuffix("|").strip() != "", chapter


def test_every_registered_metric_is_in_the_table():
    """What a page of the service or of a resource server counts is in the table."""
    registered = set(in_scripts("-c", REGISTERED).stdout.split())
    assert len(registered) >= 8
    assert registered <= set(in_scripts("-c", NAMES).stdout.split())
