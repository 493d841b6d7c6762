"""Private files: replaced whole, locked, followed, and refused if another user could read or replace them."""

from macaroon_cbat.files.lock import locked as locked
from macaroon_cbat.files.modes import open_private as open_private
from macaroon_cbat.files.replacement import replace_file as replace_file
from macaroon_cbat.files.replacement import written as written
