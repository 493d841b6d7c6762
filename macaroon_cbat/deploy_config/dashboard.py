"""The dashboard of Grafana: one row for each question that an operator has of the service."""

import json
from typing import Any, NamedTuple

_RATE = "[$__rate_interval]"

_QUANTILE = (
    f"histogram_quantile({{}}, sum by (endpoint, le) (rate(macaroon_cbat_request_seconds_bucket{_RATE})))"
)


class Panel(NamedTuple):
    """One graph: its title, the unit of Grafana, and the expression and legend of each line."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]


PANELS = (
    Panel(
        "Tokens a second",
        "ops",
        (
            (f"sum(rate(macaroon_cbat_tokens_minted_total{_RATE}))", "minted"),
            (f"sum(rate(macaroon_cbat_tokens_introspected_total{_RATE}))", "introspected"),
            (f"sum(rate(macaroon_cbat_tokens_revoked_total{_RATE}))", "revoked"),
        ),
    ),
    Panel(
        "Requests a second",
        "ops",
        ((f"sum by (endpoint, status) (rate(macaroon_cbat_request_seconds_count{_RATE}))",
          "{{endpoint}} {{status}}"),),
    ),
    Panel(
        "Seconds until a response begins",
        "s",
        ((_QUANTILE.format(0.5), "{{endpoint}} median"), (_QUANTILE.format(0.99), "{{endpoint}} 99 %")),
    ),
    Panel(
        "Refused requests a second",
        "ops",
        ((f"sum by (endpoint, error) (rate(macaroon_cbat_requests_refused_total{_RATE}))",
          "{{endpoint}} {{error}}"),),
    ),
    Panel(
        "Signs of an attack, in an hour",
        "short",
        (
            ("sum(increase(macaroon_cbat_refresh_tokens_replayed_total[1h]))", "refresh tokens replayed"),
            ("sum(increase(macaroon_cbat_clients_locked_total[1h]))", "clients locked"),
            ("sum(increase(macaroon_cbat_certificate_headers_ignored_total[1h]))", "forged certificates"),
        ),
    ),
    Panel(
        "Days until the server certificate expires",
        "d",
        (("min by (instance) (macaroon_cbat_server_certificate_expiry_timestamp_seconds - time()) / 86400",
          "{{instance}}"),),
    ),
    Panel("Age of the root key", "s", (("max(macaroon_cbat_key_age_seconds)", "key"),)),
    Panel(
        "Memory of a service",
        "bytes",
        (('process_resident_memory_bytes{job="macaroon-cbat"}', "{{instance}}"),),
    ),
    Panel(
        "Open files and connections to the database",
        "short",
        (
            ('process_open_fds{job="macaroon-cbat"}', "{{instance}} files"),
            ("sum by (instance, state) (macaroon_cbat_database_connections)", "{{instance}} {{state}}"),
        ),
    ),
    Panel(
        "Resource servers: let through and refused, a second",
        "ops",
        (
            (f"sum by (job) (rate(macaroon_cbat_verified_total{_RATE}))", "{{job}} let through"),
            (f"sum by (job, reason) (rate(macaroon_cbat_refused_total{_RATE}))", "{{job}} {{reason}}"),
        ),
    ),
    Panel(
        "Resource servers: age of keys and revocations",
        "s",
        (
            ("max by (instance) (macaroon_cbat_key_feed_age_seconds)", "{{instance}} keys"),
            ("max by (instance) (macaroon_cbat_revocation_feed_age_seconds)", "{{instance}} revocations"),
        ),
    ),
)  # fmt: skip
"""All graphs, in their order on the page."""


def dashboard() -> str:
    """Return the dashboard as JSON, for an import into Grafana or its provisioning folder."""
    members = {
        "title": "macaroon_cbat",
        "uid": "macaroon-cbat",
        "schemaVersion": 39,
        "editable": True,
        "tags": ["oauth", "macaroon_cbat"],
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
            ]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(PANELS)],
    }
    return json.dumps(members, indent=2) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": source,
        "gridPos": {"x": 12 * (number % 2), "y": 8 * (number // 2), "w": 12, "h": 8},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": source, "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(panel.lines)
        ],
    }
