"""The chart of the guide and the figures that it was drawn from."""

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def chart(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(ROOT / "scripts" / "benchmarks")
    yield import_module("chart")
    for name in ("chart", "timing"):
        sys.modules.pop(name, None)


@pytest.fixture
def kept(chart: ModuleType) -> dict:
    found: dict = json.loads(chart.KEPT.read_text())
    return found


def test_the_chart_is_that_of_the_kept_figures(chart: ModuleType, kept: dict):
    """The chart in the guide is, byte for byte, what the script draws of the figures that it kept."""
    assert chart.CHART.read_text() == chart.drawn(kept)


def test_the_chart_follows_the_figures(chart: ModuleType, kept: dict):
    """Other figures make another chart: a longer bar, and its number beside it and in the description."""
    name = "verify, each token new"
    other = {**kept, "least": {**kept["least"], name: 43.2}}
    assert chart.drawn(other).count("43.2") == 2
    assert chart.drawn(kept) != chart.drawn(other)


def test_the_chart_says_where_its_figures_are_from(chart: ModuleType, kept: dict):
    """The chart names the day, the machine and the version of Python of its run."""
    picture = chart.drawn(kept)
    assert [word for word in (kept["date"], kept["machine"], kept["python"]) if word not in picture] == []
    assert f"figures are from {kept['date']}" in chart.CHART.with_name("speed.md").read_text()


def test_no_chart_is_drawn_without_its_peers(
    chart: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """A run that left peers out keeps nothing, and says which to install."""
    monkeypatch.setattr(chart, "KEPT", tmp_path / "kept.json")
    with pytest.raises(SystemExit, match=r"go-macaroon \(Go\), signature alone"):
        chart.keep([], 1)
    assert list(tmp_path.iterdir()) == []
