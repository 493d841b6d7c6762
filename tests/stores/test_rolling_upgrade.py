"""Two versions side by side: which newer schemas older code works with, while it runs and when it starts."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from macaroon_cbat import stores as package
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.stores import Database
from macaroon_cbat.stores.schema_versions import VERSIONS, SchemaVersions
from macaroon_cbat.stores.upgrades import mistake, upgrade
from tests.support.databases import METADATA, NOW, ON_SQLITE, SECRET, execute, opened
from tests.support.failing_database import check_nothing_is_lost, writing
from tests.support.tls_servers import wait_until

ADDING = """
    op.create_table("things", sa.Column("name", sa.String(64), primary_key=True))
    op.add_column("clients", sa.Column("colour", sa.Text, nullable=True))
    op.add_column("root_keys", sa.Column("shape", sa.Text, nullable=False, server_default="round"))
    op.create_index("ix_revocations_revoked_at", "revocations", ["revoked_at"])
"""
TAKING = """
    op.drop_index("ix_families_place", table_name="families")
"""
Newer = Callable[..., SchemaVersions]


@pytest.fixture
def newer(tmp_path: Path) -> Newer:
    """Return the versions that a newer package knows, after revisions that do this and work with that."""
    folder = tmp_path / "migrations"
    copytree(Path(package.__file__).parent / "migrations", folder, ignore=ignore_patterns("__pycache__"))

    def after(*revisions: tuple[str, str | None]) -> SchemaVersions:
        before = VERSIONS.newest
        for number, (work, works_with) in enumerate(revisions, 9001):
            says = "" if works_with is None else f"works_with = {works_with!r}"
            (folder / "versions" / f"{number}.py").write_text(
                f"import sqlalchemy as sa\nfrom alembic import op\nrevision = '{number}'\n"
                f"down_revision = {before!r}\n{says}\ndef upgrade():\n{work or '    pass'}\n"
            )
            before = str(number)
        return SchemaVersions(folder)

    return after


@pytest.fixture
def upgraded(url: str) -> Callable[[SchemaVersions], None]:
    """Let a job of a newer version upgrade the database."""

    def by(versions: SchemaVersions) -> None:
        there = Database(url)
        upgrade(there, versions)
        there.close()

    return by


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_older_code_goes_on_while_a_newer_schema_is_made(stores, newer, upgraded, open_again):
    """A schema that adds is made under load: running processes of before lose nothing, and new ones start."""
    with writing(stores, threads=3) as told:
        wait_until(lambda: len(told) > 20 or told.broken)
        upgraded(newer((ADDING, VERSIONS.newest)))
        before = len(told)
        wait_until(lambda: len(told) > before + 20 or told.broken)
    check_nothing_is_lost(stores, told)
    again = open_again()
    check_nothing_is_lost(again, told)
    again.clients.add("late", METADATA, secret=SECRET, now=NOW)
    assert execute(again, "SELECT version_num FROM alembic_version") == [("9001",)]
    assert execute(again, "SELECT DISTINCT shape FROM root_keys") == [("round",)]


@ON_SQLITE
@pytest.mark.parametrize(
    "revisions",
    [
        pytest.param([(TAKING, None)], id="one that says nothing"),
        pytest.param([(TAKING, None), (ADDING, "9001")], id="one more after it"),
        pytest.param([(ADDING, "current"), (TAKING, "9001")], id="one that works with the version between"),
        pytest.param([(TAKING, "9001"), (ADDING, "current")], id="one whose successor says too much"),
    ],
)
def test_older_code_refuses_a_newer_schema_that_takes_something(revisions, url, newer, upgraded):
    """A schema that is no longer older code's own stops its start, by the line that says what to do."""
    named = [(work, VERSIONS.newest if old == "current" else old) for work, old in revisions]
    upgraded(newer(*named))
    with pytest.raises(SettingsError, match=r"900.*install the newer macaroon_cbat") as refused:
        opened(url)
    assert "\n" not in str(refused.value)


@ON_SQLITE
def test_older_code_may_be_several_revisions_behind(url, newer, upgraded):
    """Revisions that all say that they work with older code let it start, however many they are."""
    upgraded(newer((ADDING, VERSIONS.newest), ("", VERSIONS.newest)))
    opened(url).database.close()


@ON_SQLITE
def test_an_older_job_leaves_a_newer_schema(url, newer, upgraded):
    """A job of an older version after the newer one changes nothing, and says nothing of a version."""
    upgraded(newer((ADDING, VERSIONS.newest)))
    there = Database(url)
    assert upgrade(there) == "9001"
    assert mistake(there) is None
    there.close()


@ON_SQLITE
def test_newer_code_waits_for_its_job(url, newer):
    """A newer version that may not upgrade the schema ends, until the job has run."""
    versions, there = newer((ADDING, VERSIONS.newest)), Database(url)
    assert "which brings it to 9001 unless" in (mistake(there, versions) or "")
    upgrade(there, versions)
    assert mistake(there, versions) is None
    there.close()


@ON_SQLITE
def test_this_version_works_beside_the_one_before(stores):
    """The package's own latest revision is one beside which the code of the revision before it goes on."""
    [(oldest,)] = execute(stores, "SELECT value FROM service_facts WHERE name = 'schema works with'")
    assert oldest < VERSIONS.newest
