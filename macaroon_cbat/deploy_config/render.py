"""Deployment files, rendered from templates and checked settings."""

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType

from macaroon_cbat.deploy_config.dashboard import dashboard
from macaroon_cbat.deploy_config.settings import DeploySettings
from macaroon_cbat.errors.extras import extra

with extra("service"):
    from jinja2 import Environment, PackageLoader, StrictUndefined

_DASHBOARD = "macaroon-cbat.dashboard.json"

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "systemd": ("macaroon-cbat.service", "macaroon-cbat.socket"),
        "prometheus": ("prometheus.yml", "macaroon-cbat.rules.yml"),
        "grafana": (_DASHBOARD,),
        "compose": ("compose.yaml", "Containerfile"),
        "kubernetes": ("upgrade.yaml", "service.yaml"),
    }
)
"""The generated files by kind. `nginx-service` is rendered as the other configurations of proxies are."""


def render(kind: str, settings: DeploySettings) -> dict[str, str]:
    """Return the text of each file by its name."""
    environment = Environment(
        loader=PackageLoader("macaroon_cbat.deploy_config"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 # no HTML: every value was checked against its alphabet
    )
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {
        file: dashboard() if file == _DASHBOARD else environment.get_template(file).render(values)
        for file in KINDS[kind]
    }
