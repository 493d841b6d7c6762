"""Programs in Node.js, as scripts/setup-relying installs them: `.venv/node` has the interpreter and its packages."""

from tests.support.databases import ROOT

NODE = str(ROOT / ".venv/node/bin/node")
NODE_MODULES = ROOT / ".venv/node/node_modules"
