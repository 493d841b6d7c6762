"""Followers of the revocations, which wait for the next one without a thread and without a query each."""
