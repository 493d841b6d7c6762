"""Coverage-guided fuzzing of what reads untrusted headers."""
