import os

os.umask(0o077)
"""The tests write keys as a careful operator does; what loose modes do is tested where it is the matter."""
