"""SQLite sorts in memory: there may be no temporary folder, or no room in it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SORT = """
import sys
from sqlalchemy import create_engine, text
from macaroon_cbat.stores.sqlite import prepare_sqlite
from tests.support.forbidden_files import forbid_files

engine = create_engine(f"sqlite:///{sys.argv[1]}")
prepare_sqlite(engine)
count = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 100000) "
with engine.begin() as connection:
    connection.execute(text("CREATE TABLE word (text TEXT)"))
    connection.execute(text(f"INSERT INTO word {count} SELECT hex(randomblob(40)) FROM n"))
forbid_files()
with engine.begin() as connection:
    words = connection.execute(text("SELECT text FROM word ORDER BY text")).scalars().all()
assert len(words) == 100000 and words == sorted(words)
engine.dispose()
"""


def test_a_large_sort_needs_no_file(tmp_path):
    """A query that sorts eight megabytes is answered where no file can be written."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SORT, str(tmp_path / "words.sqlite3")],
        capture_output=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
