"""Programs in Node.js: `scripts/setup-relying` installs interpreter and packages into `.venv/node`."""

from tests.support.databases import ROOT

NODE = str(ROOT / ".venv/node/bin/node")
NODE_MODULES = ROOT / ".venv/node/node_modules"
