"""The challenge of a refusal."""


def challenge_of(reply) -> str:
    value = reply.header("WWW-Authenticate")
    assert value is not None
    assert value.startswith("Bearer ")
    return value
