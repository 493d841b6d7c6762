"""Parts that every listening process shares: addresses, listener, workers, signals, limits and metrics."""
