"""The API under Schemathesis: requests made of the OpenAPI document, with credentials for each operation."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import engine
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
)
from schemathesis.engine import events


@dataclass
class Findings:
    """The number of answers for each operation and status, and a line for each kind of failure."""

    documented: frozenset[str]
    """The operations of the document, as METHOD PATH."""
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def operations(self, *, below: int) -> set[str]:
        """Return the operations that answered with a status below this one."""
        return {operation for operation, status in self.answers if status < below}


def examine(
    issuer: str, *, ca: Path, certificate: Path, credentials: dict[str, str], examples: int
) -> Findings:
    """Ask every operation over a connection with this certificate, with as many random requests each.

    `credentials` has the Authorization field for the operations below each path.
    """
    schema = schemathesis.openapi.from_url(
        f"{issuer}/openapi.json", config=_config(ca, certificate, examples), verify=str(ca)
    )
    _authorize(schema, credentials)
    operations = (one.ok() for one in schema.get_all_operations())
    findings = Findings(frozenset(f"{one.method.upper()} {one.path}" for one in operations))
    for event in engine.from_schema(schema).execute():
        match event:
            case events.ScenarioFinished():
                _note(findings, event.recorder)
            case events.NonFatalError():
                findings.errors.append(f"{event.label}: {event.value}")
            case events.FatalError():
                findings.errors.append(str(event.exception))
            case _:
                pass
    return findings


def _config(ca: Path, certificate: Path, examples: int) -> SchemathesisConfig:
    project = ProjectConfig(
        generation=GenerationConfig(
            max_examples=examples, deterministic=True, no_shrink=True, database="none"
        ),
        # A schema cannot say which clients, tokens and keys exist: a request that fits it may be refused.
        checks=ChecksConfig(positive_data_acceptance=PositiveDataAcceptanceConfig(enabled=False)),
        tls_verify=str(ca),
        request_cert=str(certificate),
        max_redirects=0,
    )
    return SchemathesisConfig(seed=1, projects=ProjectsConfig(default=project))


def _authorize(schema: Any, credentials: dict[str, str]) -> None:
    """Give each request the credentials that the document names for its operation."""

    @schema.auth()
    class Credentials:
        def get(self, case: Any, _context: object) -> str | None:
            path = case.operation.path
            return next((text for below, text in credentials.items() if path.startswith(below)), None)

        def set(self, case: Any, data: str, _context: object) -> None:
            case.headers["Authorization"] = data


def _note(findings: Findings, recorder: Any) -> None:
    for interaction in recorder.interactions.values():
        if interaction.response is not None:
            findings.answers[recorder.label, interaction.response.status_code] += 1
    for name, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None and not _is_right(recorder, name, check.name):
                failure = check.failure_info
                findings.failures.setdefault(
                    (recorder.label, check.name), f"{failure.failure.message} {failure.code_sample}"
                )


def _is_right(recorder: Any, name: str, check: str) -> bool:
    """Return True for an answer that an RFC demands and Schemathesis does not expect.

    A form's parameter without a value is as good as none (RFC 6749 3.1). The embedded server implements TRACE
    for no resource (RFC 9110 15.6.2).
    """
    case = recorder.cases[name].value
    is_form = check == "negative_data_rejection" and "/oauth2/" in recorder.label
    if is_form and isinstance(case.body, dict) and "" in case.body.values():
        return True
    response = recorder.interactions[name].response
    return case.method == "TRACE" and response is not None and response.status_code == 501
