"""Private files: written whole, followed to where links lead, refused where other users could use them."""

from macaroon_cbat.files.lock import locked as locked
from macaroon_cbat.files.modes import open_private as open_private
from macaroon_cbat.files.replacement import replace_file as replace_file
from macaroon_cbat.files.replacement import written as written
