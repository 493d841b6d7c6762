"""Answer with the text members of the environment, as mod_wsgi makes it. Runs in Apache's own Python."""

import json


def application(environ, start_response):
    """Answer as JSON."""
    shown = {key: value for key, value in environ.items() if isinstance(value, (str, tuple))}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(shown).encode()]
