"""Private files: written whole, followed to where links lead, refused where other users could use them."""

from macaroon_cbat.files.writing import replace_file as replace_file
from macaroon_cbat.files.writing import written as written
