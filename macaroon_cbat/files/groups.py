"""Groups without other users of the machine: a permission of such a group is one of this process's user."""

import grp
import os
import pwd
import re
from pathlib import Path

_ROOT_GROUP = 0
_UNMAPPED = 65534
"""The number that a user namespace shows for every group without a number of its own."""

_NAME_SERVICES = Path("/etc/nsswitch.conf")
_LOCAL = {"files", "systemd", "altfiles", "extrausers"}
_SSSD = Path("/etc/sssd")
_ACTION = re.compile(r"\[[^]]*]")


def is_own_group(group_id: int) -> bool:
    """Return True if no other user is in the group: the user's own, or one given by number."""
    return is_private(group_id) or was_given_by_number(group_id)


def is_private(group_id: int) -> bool:
    """Return True for the group of the user's own name, with which Ubuntu and Fedora use the umask 002."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(group_id)
    except KeyError:
        return False
    return (
        user.pw_gid == group_id != _ROOT_GROUP
        and group.gr_name == user.pw_name
        and {*group.gr_mem} <= {user.pw_name}
        and _users_of(group_id) <= {user.pw_name}
    )


def was_given_by_number(group_id: int) -> bool:
    """Return True for a group of this process that no user gets at login, such as Kubernetes' `fsGroup`.

    Only root can put a process into it. An unknown group has no members only if the user database is local:
    a directory such as LDAP could be out of reach.
    """
    is_ours = group_id in {os.getegid(), *os.getgroups()} - {_ROOT_GROUP, _UNMAPPED}
    return is_ours and not _is_known(group_id) and is_database_local()


def _is_known(group_id: int) -> bool:
    try:
        grp.getgrgid(group_id)
    except KeyError:
        return bool(_users_of(group_id) - _own_name())
    return True


def _users_of(group_id: int) -> set[str]:
    return {user.pw_name for user in pwd.getpwall() if user.pw_gid == group_id}


def _own_name() -> set[str]:
    return {user.pw_name for user in pwd.getpwall() if user.pw_uid == os.geteuid()}


def is_database_local(name_services: Path = _NAME_SERVICES, sssd: Path = _SSSD) -> bool:
    """Return True if users and groups are in local files alone; Red Hat's images name SSSD without it."""
    try:
        local = _LOCAL if sssd.exists() else _LOCAL | {"sss"}
        lines = name_services.read_text().splitlines()
    except FileNotFoundError:
        return True  # the default of the C library
    except (OSError, UnicodeDecodeError):
        return False
    entries = [line.partition("#")[0].partition(":") for line in lines]
    sources = [text for name, _, text in entries if name.strip() in ("passwd", "group", "initgroups")]
    return {*_ACTION.sub(" ", " ".join(sources)).split()} <= local
