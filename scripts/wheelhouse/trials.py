"""Programs that try an installation, each in a fresh environment; the argument is the path of the command."""

_EVERYWHERE = r"""
import importlib.metadata, importlib.util, subprocess, sys, tempfile, time
from pathlib import Path
import macaroon_cbat as m

_folder = tempfile.TemporaryDirectory()  # gone at the end
COMMAND, FOLDER = sys.argv[1], Path(_folder.name)
API, ISSUER = "https://api.example", "https://as.example"
CERTIFICATE = m.thumbprint_of(b"certificate in DER")

def run(*words, status=0, stdin=""):
    done = subprocess.run([COMMAND, *words], input=stdin, capture_output=True, text=True)
    assert done.returncode == status, done
    return done

def is_installed(*names):
    return [name for name in names if importlib.util.find_spec(name)]

assert m.__version__ == importlib.metadata.version("macaroon_cbat")
assert m.__version__ in run("--version").stdout
for name in ("thumbprint", "token", "serve", "gateway"):
    assert f" {name} " in run("--help").stdout
assert " guide " not in run("--help").stdout or run("guide").stdout

key, now = m.RootKey("k1", bytes(range(32))), int(time.time())
grant = m.Grant(aud=API, client_id="c", exp=now + 60, iat=now, jti="A" * 22, kid="k1", scope="read", sub="c")
token = m.mint(m.audience_key(key, API), ISSUER, grant)
child = m.attenuate(token, [m.confirmation(CERTIFICATE)])
keys = m.audience_keys(ISSUER, API, [key])
access = m.Access(now=now, audience=API, certificate=CERTIFICATE)
assert m.verify(child, keys, access).client_id == "c"
(FOLDER / "keys.json").write_bytes(m.write_key_file(keys))
(FOLDER / "keys.json").chmod(0o600)
run("token", "attenuate", "--expires-in", "30", stdin=token)
run("token", "verify", "--keys", str(FOLDER / "keys.json"), "--audience", API, "--allow-unbound", stdin=token)
"""
_RESOURCE_SERVER = 'assert is_installed("sqlalchemy", "alembic", "authlib", "OpenSSL", "requests") == []\n'
_TRIALS = {
    "plain": r"""
assert is_installed("flask", "starlette", "django", "requests", "httpx", "sqlalchemy", "jinja2", "rich") == []
assert "macaroon_cbat[service]" in run("serve", status=2).stderr
from macaroon_cbat.resource.wsgi import Guard
Guard(keys=FOLDER / "keys.json")
try:
    from macaroon_cbat.resource.flask import Guard
except ImportError as error:
    assert "macaroon_cbat[flask]" in str(error)
else:
    raise AssertionError("Flask is there")
""",
    "flask": _RESOURCE_SERVER
    + r"""
from flask import Flask
from macaroon_cbat.resource.flask import Guard
app = Flask("trial")
app.get("/")(Guard(app, keys=FOLDER / "keys.json").require("read")(lambda: "in"))
assert app.test_client().get("/").status_code == 401
""",
    "starlette": _RESOURCE_SERVER
    + r"""
from starlette.applications import Starlette
from macaroon_cbat.resource.starlette import Guard
Guard(Starlette(), keys=FOLDER / "keys.json").require("read")
""",
    "fastapi": _RESOURCE_SERVER
    + r"""
from fastapi import Depends, FastAPI
from macaroon_cbat.resource.starlette import Guard
app = FastAPI()
guarded = [Depends(Guard(app, keys=FOLDER / "keys.json").require("read"))]
app.get("/", dependencies=guarded)(lambda: "in")
assert app.openapi()["paths"]["/"]["get"]["security"] == [{"macaroon": []}]
""",
    "django": _RESOURCE_SERVER
    + r"""
from django.conf import settings
settings.configure(MACAROON_CBAT={"KEYS": str(FOLDER / "keys.json")})
from macaroon_cbat.resource.django import GuardMiddleware, require
GuardMiddleware(lambda request: None)
""",
    "requests": r"""
assert is_installed("sqlalchemy", "flask", "httpx") == []
from macaroon_cbat.client import TokenClient
from macaroon_cbat.client.requests import MacaroonAuth, certificate_session
TokenClient(issuer=ISSUER, client_id="c", client_secret="s")
run("token", "mint", "--issuer", "https://localhost:1", "--client-id", "c", "--client-secret", "s", status=1)
""",
    "httpx": r"""
assert is_installed("sqlalchemy", "flask") == []
from macaroon_cbat.client import TokenClient
from macaroon_cbat.client.httpx import MacaroonAuth, CertificateTransport
TokenClient(issuer=ISSUER, client_id="c", client_secret="s")
""",
    "service": r"""
serve = [COMMAND, "serve", "--port", "0", "--data", str(FOLDER / "data")]
process = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
try:
    assert process.stdout.readline().startswith("macaroon-cbat serves https://localhost:")
finally:
    process.terminate()
    process.communicate(timeout=60)
run("client", "add", "billing", "--scope", "read", "--data", str(FOLDER / "data"))
""",
    "tls": r"""
assert is_installed("sqlalchemy", "flask", "requests") == []
from macaroon_cbat.tls import Limits, development_certificates, serve
development_certificates(FOLDER)
""",
    "gateway": r"""
assert is_installed("sqlalchemy", "flask", "grpc") == []
import macaroon_cbat.gateway.supervisor
run("proxy-config", "nginx", "--upstream", "127.0.0.1:9000", "--cert", "c.pem", "--key", "k.pem")
""",
    "envoy": r"""
import macaroon_cbat.gateway.envoy_grpc
import macaroon_cbat.gateway.supervisor
""",
    "postgresql": r"""
import psycopg.pq
""",
    "metrics": r"""
from macaroon_cbat.resource.metrics import count_ignored
from macaroon_cbat.server.shared_counters import sharing_counters
with sharing_counters(1):
    count_ignored()
import prometheus_client
assert b"macaroon_cbat_certificates_ignored_total 1.0" in prometheus_client.generate_latest()
""",
}
_TRIALS["all"] = _TRIALS["service"] + _TRIALS["envoy"] + _TRIALS["postgresql"]


def trial_of(extra: str) -> str:
    """Return the program for an installation with this extra; one that has none only uses what all have."""
    return _EVERYWHERE + _TRIALS.get(extra, "")
