"""Lines of a log."""

import json


def line_of(log) -> dict[str, object]:
    """Return the one audit event."""
    [line] = [record.getMessage() for record in log.records if record.name == "macaroon_cbat.audit"]
    return dict(json.loads(line))
