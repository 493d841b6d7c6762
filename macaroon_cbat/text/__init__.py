"""Text, pure: JSON, base64url, printable lines, secrets in files."""
