"""A stateful Kubernetes API server on loopback, good enough for kubectl and client libraries."""
