"""Another user of the machine attacks private files and the database; root alone can play both parts."""

import os
import pwd
from pathlib import Path

import pytest

from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files import replace_file, written
from macaroon_cbat.files.followed import LOOK_SECONDS
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.files.places import destination
from macaroon_cbat.files.replacement import _device, _folder
from macaroon_cbat.resource import Introspection
from macaroon_cbat.resource.key_file import KeyFile
from tests.support.another_user import ANOTHER_USER, FORGED, KEYS, act_as_another, as_user, granting, private
from tests.support.tls_servers import make_client
from tests.support.tokens import API, GRANT, ISSUER


def test_a_file_of_another_user_is_refused(place: Path):
    """A key file of another user is refused, in a folder of ours too and with mode 0600."""
    file = private(place / "keys.json", KEYS)
    os.chown(file, ANOTHER_USER, ANOTHER_USER)
    with pytest.raises(
        SettingsError, match=rf"key file {file} belongs to another user \(uid 65534\): chown 0"
    ):
        KeyFile(file)


def test_a_file_of_root_is_taken_by_a_service(place: Path):
    """A file of root is taken by a process of another user whose group may read it: a Kubernetes secret."""
    file = private(place / "keys.json", KEYS)
    os.chown(file, 0, ANOTHER_USER)
    file.chmod(0o440)
    assert as_user(ANOTHER_USER, ANOTHER_USER, lambda: KeyFile(file).audience) == API


def test_a_folder_of_the_users_private_group_is_taken(place: Path):
    """A folder that the user's private group can write is taken (umask 002, `fsGroup`), another's is not."""
    user = pwd.getpwnam("daemon")
    file = private(place / "keys.json", KEYS)
    os.chown(file, user.pw_uid, user.pw_gid)
    os.chown(place, 0, user.pw_gid)
    place.chmod(0o2775)
    assert as_user(user.pw_uid, user.pw_gid, lambda: KeyFile(file).audience) == API
    os.chown(place, 0, 2000)
    place.chmod(0o2775)
    assert f"the group 2000 (mode 2775 of {place}): chmod g-w" in as_user(
        user.pw_uid, user.pw_gid, lambda: KeyFile(file).audience
    )


@pytest.mark.parametrize("up", [0, 1], ids=["its folder", "the folder above"])
def test_a_folder_of_another_user_is_refused(place: Path, up: int):
    """A folder of another user on the way is refused: its owner can put anything there."""
    (place / "upper/lower").mkdir(parents=True)
    file = private(place / "upper/lower/keys.json", KEYS)
    os.chown(file.parents[up], ANOTHER_USER, ANOTHER_USER)
    with pytest.raises(
        SettingsError, match=rf"replaced by another user \(uid 65534, who owns {file.parents[up]}\)"
    ):
        KeyFile(file)


@pytest.mark.parametrize("mode", [0o770, 0o720, 0o2775], ids=oct)
@pytest.mark.parametrize("group", [0, ANOTHER_USER], ids=["root's group", "another group"])
@pytest.mark.parametrize("up", [0, 1], ids=["its folder", "the folder above"])
def test_a_folder_that_a_group_can_write_is_refused(place: Path, mode: int, group: int, up: int):
    """A folder that a group can write is refused as a file is that a group can write."""
    (place / "upper/lower").mkdir(parents=True)
    file = private(place / "upper/lower/keys.json", KEYS)
    folder = file.parents[up]
    os.chown(folder, 0, group)
    folder.chmod(mode)
    with pytest.raises(SettingsError, match=rf"replaced by the group {group} .*: chmod g-w {folder}"):
        KeyFile(file)


def test_a_file_of_another_user_in_a_sticky_folder_is_refused(place: Path):
    """In a sticky folder another user cannot replace our files, but can be there first, with a link too."""
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    private(place / "ours.json", KEYS)
    act_as_another(
        "umask 077; cat > keys.json; ln -s ../ours.json link.json", folder=shared, standard_input=FORGED
    )
    for name in ("keys.json", "link.json"):
        with pytest.raises(SettingsError, match=r"belongs to another user \(uid 65534\)"):
            KeyFile(shared / name)


def test_a_pipe_of_another_user_is_refused(place: Path):
    """A named pipe has no secret mode, but an owner: another user's is not waited for."""
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    act_as_another("mkfifo keys.json", folder=shared)
    with pytest.raises(SettingsError, match=r"belongs to another user"):
        KeyFile(shared / "keys.json")


def test_what_another_user_put_behind_a_link_never_counts(place: Path):
    """A link to a folder that all can write is refused; a key put there comes into force nowhere."""
    etc, shared = place / "etc", place / "shared"
    etc.mkdir()
    shared.mkdir()
    private(shared / "keys.json", KEYS)
    (etc / "keys.json").symlink_to("../shared/keys.json")
    now = [0.0]
    before = KeyFile(etc / "keys.json", monotonic=lambda: now[0])
    shared.chmod(0o777)
    act_as_another("umask 077; cat > x; mv -f x keys.json", folder=shared, standard_input=FORGED)
    now[0] += LOOK_SECONDS
    before.key_for(GRANT)
    assert before.issuer == ISSUER
    shared.chmod(0o755)  # mended too late: the file is still the other user's
    with pytest.raises(SettingsError, match="uid 65534"):
        KeyFile(etc / "keys.json")


@pytest.mark.parametrize("tag", [2, 8], ids=["user", "group"])
def test_an_access_control_list_that_lets_others_read_is_refused(place: Path, tag: int):
    """A list that lets another user or group read looks like mode 0640; it is refused, with what mends it."""
    pair = make_client(place, "api").file
    read = [
        lambda file: open_private(file, "key file").close(),
        ClientCertificate,
        lambda file: Introspection(ISSUER, API, "api", certificate=file),
    ]
    os.setxattr(pair, "system.posix_acl_access", granting(tag, ANOTHER_USER))
    assert pair.stat().st_mode & 0o777 == 0o640
    for reader in read:
        with pytest.raises(SettingsError, match=f"access control list.*setfacl -b {pair}"):
            reader(pair)
    pair.chmod(0o600)  # the mask grants nothing now
    assert ClientCertificate(pair)


def test_an_access_control_list_for_ourselves_is_taken(place: Path, caplog: pytest.LogCaptureFixture):
    """A list that names this process's user opens nothing and is no warning: credentials of systemd."""
    file = private(place / "keys.json", KEYS)
    os.setxattr(file, "system.posix_acl_access", granting(2, 0))
    assert (KeyFile(file).audience, file.stat().st_mode & 0o777) == (API, 0o640)
    assert caplog.records == []


@pytest.mark.parametrize("mode", [0o600, 0o644], ids=["private", "public"])
@pytest.mark.parametrize("target", ["victim", "missing"])
@pytest.mark.parametrize("may_replace", [False, True], ids=["new", "replaced"])
def test_a_link_of_another_user_is_not_followed(place: Path, mode: int, target: str, *, may_replace: bool):
    """A link that another user put into a shared folder leads no file of ours anywhere, secret or not."""
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (place / "victim").write_text("kept")
    act_as_another(f"ln -s ../{target} out", folder=shared)
    with (
        pytest.raises(SettingsError, match=r"belongs to another user \(uid 65534\)"),
        written(shared / "out", "secret file", may_replace=may_replace, mode=mode),
    ):
        pytest.fail("nothing may begin")
    assert {one.name for one in place.iterdir()} == {"shared", "victim"}
    assert (place / "victim").read_text() == "kept"
    assert [one.name for one in shared.iterdir()] == ["out"]


@pytest.mark.parametrize("kind", ["touch out", "mkfifo out"], ids=["file", "pipe"])
def test_a_secret_does_not_go_to_another_user(place: Path, kind: str):
    """A file or pipe of another user that waits for a secret in a shared folder gets nothing."""
    shared = place / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    act_as_another(kind, folder=shared)
    with (
        pytest.raises(SettingsError, match=r"belongs to another user \(uid 65534\)"),
        written(shared / "out", "secret file", may_replace=True),
    ):
        pytest.fail("nothing may begin")


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o2775], ids=oct)
def test_a_link_that_others_could_have_made_leads_no_secret(place: Path, mode: int):
    """A link of ours in a folder that others can write leads no secret anywhere: they could change it."""
    shared = place / "shared"
    shared.mkdir()
    (shared / "out").symlink_to("../kept")
    os.chown(shared, 0, 2000)
    shared.chmod(mode)
    with (
        pytest.raises(SettingsError, match=rf"can be replaced by .*: chmod g?o?-w {shared}"),
        written(shared / "out", "secret file", may_replace=False),
    ):
        pytest.fail("nothing may begin")
    assert {one.name for one in place.iterdir()} == {"shared"}


def test_a_secret_in_the_folder_of_another_user_is_ours(place: Path):
    """Root may leave a secret in a user's folder: that user can remove it, and not read it."""
    (place / "home").mkdir(mode=0o700)
    os.chown(place / "home", ANOTHER_USER, ANOTHER_USER)
    with written(place / "home/secret", "secret file", may_replace=False) as stream:
        act_as_another(
            'for f in .macaroon_cbat.* secret; do test -e "$f"; if cat "$f"; then exit 1; fi; done',
            folder=place / "home",
        )
        stream.write(b"secret")
    found = (place / "home/secret").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (0, 0o600)


def test_a_folder_that_became_a_link_is_not_entered(place: Path):
    """A folder that another user replaces by a link, once its path was looked at, gets nothing."""
    (place / "home/out").mkdir(parents=True)
    os.chown(place / "home", ANOTHER_USER, ANOTHER_USER)
    end = destination(place / "home/out/secret", "secret file", is_private=True)
    act_as_another("mv out old && ln -s .. out", folder=place / "home")
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"), _folder(end):
        pytest.fail("it may not be entered")


def test_the_group_of_a_service_reads_on(place: Path):
    """A file that a service's group reads is replaced by one that it reads; a looser one is not."""
    file = private(place / "keys.json", KEYS)
    os.chown(file, 0, ANOTHER_USER)
    file.chmod(0o640)
    replace_file(file, [KEYS])
    assert as_user(ANOTHER_USER, ANOTHER_USER, lambda: KeyFile(file).audience) == API
    assert file.stat().st_mode & 0o777 == 0o640
    file.chmod(0o644)
    replace_file(file, [KEYS])
    assert (file.stat().st_mode & 0o777, file.stat().st_gid) == (0o600, 0)


def test_a_pipe_that_another_user_put_there_meanwhile_gets_nothing(place: Path):
    """The open pipe is judged, not what the name led to before: a user who wins the race reads no secret."""
    file = place / "client.secret"
    os.mkfifo(file)
    os.chown(file, ANOTHER_USER, ANOTHER_USER)
    reading = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(SettingsError, match=r"belongs to another user \(uid 65534\)"):
            _device(file, file, "secret file", is_private=True)
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)


def test_a_link_that_another_user_put_there_meanwhile_is_not_followed(place: Path):
    """A link in the place of what was looked at leads to no device, such as the terminal of another user."""
    link = place / "client.secret"
    link.symlink_to("/dev/full")
    with pytest.raises(OSError, match="symbolic link"):
        _device(link, link, "secret file", is_private=True)


def test_a_file_that_another_user_put_there_meanwhile_opens_nothing(place: Path):
    """The group of a file that another user puts there while ours is written cannot read ours."""
    file = place / "client.secret"
    with written(file, "secret file", may_replace=True) as stream:
        stream.write(b"secret")
        file.touch(mode=0o640)
        os.chown(file, ANOTHER_USER, ANOTHER_USER)
    found = file.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (0, 0, 0o600)
