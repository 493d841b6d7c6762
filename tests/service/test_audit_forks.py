import fcntl
import logging
import os

from macaroon_cbat.audit.file import AuditFile
from tests.support.forks import in_children


def test_a_child_locks_the_audit_log_by_itself(tmp_path):
    """A forked child locks a file description of its own: a lock over its parent's would shut out neither."""
    handler = AuditFile(tmp_path / "audit.log")

    def is_apart(number: int) -> bool:
        of_the_parent = os.dup(handler.fileno())
        handler.emit(logging.makeLogRecord({"msg": f"of child {number}"}))
        fcntl.flock(of_the_parent, fcntl.LOCK_EX)
        try:
            fcntl.flock(handler.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            fcntl.flock(of_the_parent, fcntl.LOCK_UN)
        return False

    assert [*in_children(1, is_apart), *in_children(1, is_apart)] == [0, 0]
    handler.emit(logging.makeLogRecord({"msg": "of the parent"}))
    assert (tmp_path / "audit.log").read_text() == "of child 0\nof child 0\nof the parent\n"
    handler.close()
