"""The event loop of a serving process: uvloop where it is installed, else that of asyncio."""

import asyncio


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new loop. Call this after the fork: a loop must not be shared by two processes."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
