"""Counters and gauges, which decide no answer."""

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from macaroon_cbat.server.metrics import Counter, CounterGroup, Gauge


def value_of(name: str, **labels: str) -> float | None:
    """Return the value that prometheus_client shows; None for a time series that is not shown."""
    return REGISTRY.get_sample_value(name, labels)


def test_counters_of_a_group_are_shown_together() -> None:
    """With the first count of one counter, every counter of its group is shown, at zero."""
    group = CounterGroup()
    first = Counter("group_first", "First.", group=group)
    Counter("group_second", "Second.", ["bound"], group=group, shown=[(False,), (True,)])
    assert value_of("group_first_total") is None
    first.count()
    assert value_of("group_first_total") == 1
    assert [value_of("group_second_total", bound=word) for word in ("no", "yes")] == [0, 0]


def test_label_values_are_words() -> None:
    """A bool is shown as yes or no, None as none, and text as it is; each is counted by itself."""
    counter = Counter("words", "Words.", ["a", "b"], group=CounterGroup())
    counter.count(True, None)
    counter.count(True, None)
    counter.count(False, "invalid_token")
    assert value_of("words_total", a="yes", b="none") == 2
    assert value_of("words_total", a="no", b="invalid_token") == 1


def test_a_counter_that_cannot_be_made_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A counter that prometheus_client refuses is told in one line, and counting goes on without it."""
    Counter("taken_name", "Taken.", group=(taken := CounterGroup()))
    taken.make()
    refused = Counter("taken_name", "Taken again.", group=CounterGroup())
    refused.count()
    refused.count()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "not counted, prometheus_client cannot write" in caplog.text
    assert value_of("taken_name_total") == 0


@pytest.mark.parametrize(
    ("value", "shown"), [(1.5, ["age_seconds 1.5"]), (0.0, ["age_seconds 0.0"]), (None, [])], ids=str
)
def test_a_gauge_is_computed_at_the_scrape(value: float | None, shown: list[str]) -> None:
    """A gauge shows its value at the moment of the scrape, zero too, and nothing while there is none."""
    now: list[float | None] = [7.0]
    registry = CollectorRegistry()
    registry.register(Gauge("age_seconds", "Age.", lambda: now[0]))
    now[0] = value
    page = generate_latest(registry).decode().splitlines()
    assert [line for line in page if not line.startswith("#")] == shown
