"""HTTP of the service: request input, responses, operations."""
