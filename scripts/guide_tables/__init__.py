"""Tables of the guide, generated from the code."""
