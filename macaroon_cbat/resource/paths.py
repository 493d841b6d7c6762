"""The path of a request as its client sees it: the prefix of the deployment, and the path below that.

Servers and middleware take a prefix from headers too (gunicorn `SCRIPT_NAME`, ProxyFix `X-Forwarded-Prefix`).
A client that writes such a header would choose the path that caveats are compared with. So a prefix that the
deployer did not name makes the path unknown, and no caveat about an unknown path is met.
"""

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.target import is_plain_path

_LONGEST_SHOWN = 100

NOT_UTF_8 = "the path is not UTF-8: applications read something else into it than what came"


def checked_root_path(root_path: str) -> str:
    """Return the prefix below which the deployment mounts the application. Raises SettingsError."""
    if root_path and (not is_plain_path(root_path) or root_path.endswith("/")):
        raise SettingsError(
            f"root_path must be empty, or like /api without a slash at its end: {root_path!r}"
        )
    return root_path


def whole_path(name: str, prefix: str, path: str, root_path: str) -> tuple[str | None, str | None]:
    """Return the whole path and None, or None and the reason for which it is unknown.

    `name` is the server's name of the prefix that it shows. `path` is the path that the application routes.
    """
    if prefix.rstrip("/") != root_path:
        return None, (
            f"the path is unknown: {name} is {prefix[:_LONGEST_SHOWN]!r}, where the guard's root_path is "
            f"{root_path!r}: a header may have said so; set root_path only to where the deployment itself "
            "mounts the application"
        )
    if path and not path.startswith("/"):
        return None, "the path is unknown: what is below the prefix does not begin with a slash"
    return root_path + path or "/", None
