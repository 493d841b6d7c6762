"""Text, pure: JSON, printable lines, secrets in files."""
