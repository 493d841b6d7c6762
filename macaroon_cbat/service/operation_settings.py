"""The settings of operation: the ordinary log, and the port of probes and metrics."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from macaroon_cbat.audit.log_format import JSON, LEVELS, TEXT
from macaroon_cbat.service.variables import Setting, refuse_out_of_range


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationSettings:
    """Log and management port. Raises SettingsError for a value out of shape."""

    settings: Annotated[
        Path | None,
        Setting(
            meaning="file of further variables, NAME=VALUE, which SIGHUP reads again",
            shape="a private file",
        ),
    ] = None
    log_format: Annotated[
        str, Setting(meaning="form of the ordinary log's lines", shape="text or json", words=(TEXT, JSON))
    ] = TEXT
    log_level: Annotated[
        str,
        Setting(
            meaning="least level of the ordinary log's lines",
            shape="debug, info, warning or error",
            words=LEVELS,
        ),
    ] = "info"
    traces: Annotated[
        int,
        Setting(
            meaning="whether requests about tokens have spans (OpenTelemetry), as OTEL_ variables say",
            shape="1 or 0",
            most=1,
        ),
    ] = 0
    management_port: Annotated[
        int | None,
        Setting(
            meaning="port of probes and metrics of serve",
            shape="a port from 1 to 65535",
            least=1,
            most=(1 << 16) - 1,
        ),
    ] = None
    management_host: Annotated[
        str, Setting(meaning="address of that port, in the clear", shape="an address of this machine")
    ] = "127.0.0.1"

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        refuse_out_of_range(self)


USUAL_OPERATION = OperationSettings()
