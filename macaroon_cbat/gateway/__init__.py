"""The forward-auth gateway: a proxy asks it about each request, and it decides by the rules of every guard.

A question comes over HTTP (`http_connection`) or gRPC (`envoy_grpc`). `question` reads the request that it
is about, `dispatcher` runs the decision in the event loop or in a thread, and `decision` decides by the rules
of the policy file (`policy_file`, `rules`).
"""
