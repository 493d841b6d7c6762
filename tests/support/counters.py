"""Counters of a guard, and what changed in them."""

from prometheus_client import REGISTRY


def counts() -> dict[tuple[str, ...], float]:
    """Return the counters that are not 0, by name and label values."""
    return {
        (sample.name.removeprefix("macaroon_cbat_"), *sample.labels.values()): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.name.startswith("macaroon_cbat_") and sample.value
    }


def difference(before: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], float]:
    after = counts()
    return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
