"""The longest wait for what takes a moment on an idle machine; a busy one takes minutes for it."""

SECONDS = 200
"""A wait that lasts as long has found that it never happens: each test waits for less than its own limit."""
LONG_TEST = 1_200
"""The limit, in seconds, of a test that runs a script of several minutes of processor time."""
