"""Tables of the guide, generated from the code, and from what the tests declare about standards."""
