"""The administration endpoints `/admin/*` and their rules."""
