"""The guide's lines for each framework, run as they stand there."""

import re
from pathlib import Path

import pytest

from macaroon_cbat.macaroon.keys import write_key_file
from tests.support.guide import FOLDER, section
from tests.support.tokens import KEYS
from tests.support.typed_program import run_program

SECTION = section(FOLDER / "resource-servers.md", "Other frameworks")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)

CALLING = """
import time
from tests.support.tokens import BOUND, token
from tests.support.adapters import Asked, {through}
now = int(time.time())
for text, status, body in (
    (token(BOUND, iat=now, exp=now + 60), 200, b'{{"hello":"billing"}}'),
    (token(iat=now, exp=now + 60), 401, b'"error":"invalid_token"'),
):
    asked = Asked(headers=(("Host", "api.example"), ("Authorization", f"Bearer {{text}}")))
    reply = {through}(app, asked)
    assert reply.status == status, reply
    assert body in reply.body.replace(b": ", b":"), reply
"""

PROJECT = """
from django.conf import settings
from django.urls import path
{settings}
settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE, MACAROON_CBAT=MACAROON_CBAT
)
import django
django.setup()
{view}
urlpatterns = [path("invoices", invoices)]
from django.core.handlers.{kind} import {handler}
app = {handler}()
"""


def django(kind: str, handler: str) -> str:
    settings, view = BLOCKS[2:4]
    return PROJECT.format(settings=settings, view=view, kind=kind, handler=handler)


CASES = {
    "FastAPI": (lambda: BLOCKS[0], "through_asgi"),
    "Starlette": (lambda: BLOCKS[1], "through_asgi"),
    "Django under WSGI": (lambda: django("wsgi", "WSGIHandler"), "through_wsgi"),
    "Django under ASGI": (lambda: django("asgi", "ASGIHandler"), "through_asgi"),
    "WSGI": (lambda: BLOCKS[4], "through_wsgi"),
    "ASGI": (lambda: BLOCKS[5], "through_asgi"),
}


@pytest.mark.parametrize(("program", "through"), CASES.values(), ids=CASES)
def test_each_framework_works_as_written(tmp_path: Path, program, through: str) -> None:
    """Each program lets the holder in, and refuses an unbound token."""
    tmp_path.joinpath("keys.json").write_bytes(write_key_file(KEYS))
    tmp_path.joinpath("keys.json").chmod(0o600)
    done = run_program(program() + CALLING.format(through=through), tmp_path)
    assert done.returncode == 0, done.stderr


def test_every_program_is_run() -> None:
    """No program of the section is left out above."""
    assert len(BLOCKS) == 6
