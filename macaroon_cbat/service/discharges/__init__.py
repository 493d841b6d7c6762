"""The discharge service: it confirms to holders what a third-party caveat asks, in the bakery's protocol."""
