"""The generated tables of the guide."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.typed_program import run_program

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "macaroon_cbat" / "guide"
CHAPTERS = ("audit-events", "errors", "formats", "metrics", "settings")
ROWS = [
    (chapter, line)
    for chapter in CHAPTERS
    for line in (GUIDE / f"{chapter}.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| variable", "| setting"))
]
STALE = "before\n<!-- table: metrics -->\n| old |\n<!-- end of table -->\nafter\n"
PROGRAM = f"""
import json
import prometheus_client
from guide_tables.chapters import with_tables
from guide_tables.metrics import metric_names
from macaroon_cbat.errors import Inactive, Unavailable
from macaroon_cbat.resource import metrics as resource
from macaroon_cbat.service import metrics as service
made, named = with_tables({STALE!r}), sorted(metric_names())
service.start_counting()
resource.count_refused(Inactive(""))
resource.count_unavailable(Unavailable(""))
families = prometheus_client.REGISTRY.collect()
ours = [one for one in families if one.name.startswith("macaroon_cbat_")]
registered = [one.name + "_total" * (one.type == "counter") for one in ours]
print(json.dumps({{"made": made, "named": named, "registered": registered}}))
"""


@pytest.fixture(scope="module")
def found() -> Any:
    """Make a stale table anew and count, in a process that registers no other metric."""
    done = run_program(PROGRAM, ROOT / "scripts")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_table_is_what_the_code_says():
    """The committed tables are those that `scripts/guide-tables` writes."""
    command = [ROOT / "scripts" / "guide-tables", "--check"]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_table_is_found(found):
    """A table that differs from the code is replaced, and the words around it stay."""
    made = found["made"]
    assert made.startswith("before\n<!-- table: metrics -->\n| shown by |")
    assert made.endswith("<!-- end of table -->\nafter\n")
    assert "| old |" not in made


def test_every_row_says_something():
    """No row lacks its meaning: each setting, event, format, metric and error has words in the code."""
    assert len(ROWS) > 100
    assert [row for row in ROWS if row[1].split(" | ")[-1].removesuffix("|").strip() == ""] == []


def test_every_registered_metric_is_in_the_table(found):
    """Each metric that the service or a resource server registers is in the table."""
    assert len(set(found["registered"])) >= 8
    assert set(found["registered"]) <= set(found["named"])
