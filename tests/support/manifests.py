"""Objects of Kubernetes, read as strictly as its API server reads them: by the models of lightkube."""

import importlib
from pathlib import Path
from typing import Any

import msgspec
import yaml


def manifests(file: Path) -> list[dict[str, Any]]:
    """Return the objects of a file, each of which has only members that its kind has, of their types."""
    objects = list(yaml.safe_load_all(file.read_text()))
    for each in objects:
        group, _, version = each["apiVersion"].rpartition("/")
        module = f"{group.partition('.')[0] or 'core'}_{version}"
        require_type(each, getattr(importlib.import_module(f"lightkube.models.{module}"), each["kind"]))
    return objects


def require_type(value: object, kind: Any) -> None:
    """Raise for a value that is not of this type, or has a member that the type has not."""
    known = msgspec.to_builtins(msgspec.convert(value, kind))
    _require_known(value, known, kind.__name__)


def _require_known(value: object, known: Any, place: str) -> None:
    """Raise AssertionError for a member that did not enter the object."""
    if isinstance(value, dict):
        for name, each in value.items():
            assert name in known, f"{place} has no member {name}"
            _require_known(each, known[name], f"{place}.{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            _require_known(each, known[number], f"{place}[{number}]")
