"""The sources of users and groups: only a whole database can say that a group has no members."""

from pathlib import Path

import pytest

from macaroon_cbat.files.groups import is_database_local, is_private, was_given_by_number

LOCAL = {
    "Debian": "passwd: files systemd\ngroup:\t files systemd # mine\nhosts: files dns ldap\n",
    "with an action": "passwd: files\ngroup: files [SUCCESS=merge] systemd\n",
    "Fedora without SSSD": "passwd: sss files systemd\ngroup: sss files systemd\n",
    "empty": "",
}
REMOTE = {
    "LDAP": "passwd: files\ngroup: files ldap\n",
    "users of LDAP": "passwd: files ldap\ngroup: files\n",
    "winbind": "passwd: files winbind\ngroup: files winbind\n",
    "groups at login": "passwd: files\ngroup: files\ninitgroups: sss2 files\n",
    "NIS": "passwd: compat\ngroup: compat\n",
}


@pytest.mark.parametrize("text", LOCAL.values(), ids=LOCAL)
def test_local_files_are_whole(tmp_path: Path, text: str):
    """Local files, and what names no directory, say of every user which groups he is in."""
    (tmp_path / "nsswitch.conf").write_text(text)
    assert is_database_local(tmp_path / "nsswitch.conf", tmp_path / "sssd")


@pytest.mark.parametrize("text", REMOTE.values(), ids=REMOTE)
def test_a_directory_may_be_out_of_reach(tmp_path: Path, text: str):
    """A directory may know more users than it says now, so that no group is known to be empty."""
    (tmp_path / "nsswitch.conf").write_text(text)
    assert not is_database_local(tmp_path / "nsswitch.conf", tmp_path / "sssd")


def test_sssd_is_a_directory(tmp_path: Path):
    """Users of SSSD count where it is set up; a file that cannot be read says nothing."""
    (tmp_path / "nsswitch.conf").write_text(LOCAL["Fedora without SSSD"])
    (tmp_path / "sssd").mkdir()
    assert not is_database_local(tmp_path / "nsswitch.conf", tmp_path / "sssd")
    assert not is_database_local(tmp_path, tmp_path / "none")
    assert is_database_local(tmp_path / "none", tmp_path / "none")


@pytest.mark.parametrize("group", [0, 65534], ids=["root's", "what a namespace has no number for"])
def test_these_groups_are_no_one_user_s(group: int):
    """Root's group, and the one that stands for every group without a number, are never a user's own."""
    assert not is_private(group)
    assert not was_given_by_number(group)
