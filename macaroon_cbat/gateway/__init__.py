"""The forward-auth gateway: answers a proxy's question about each request, by the guard that Flask has too.

A question comes over HTTP (`serving`) or over gRPC (`envoy_grpc`), is read into facts (`facts`), and is
decided by the rules of the policy file (`policy_file`, `decision`).
"""
