"""Ready files for those who run the service: units, manifests, alert rules and a dashboard."""

from macaroon_cbat.deploy_config.render import render
from macaroon_cbat.deploy_config.settings import DeploySettings

__all__ = ["DeploySettings", "render"]
