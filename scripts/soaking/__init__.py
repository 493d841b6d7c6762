"""An hour in which everything runs at once, and breaks."""
