"""The trial of the distributions: what `pip install` gives a user, in fresh environments."""
