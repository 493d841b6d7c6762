"""How Hypothesis runs here: no deadlines and no health check by the clock, because machines are noisy."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "core", settings.get_profile("steady"), max_examples=300, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("core")
