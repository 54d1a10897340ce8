"""The Kubernetes API: counting, asking beforehand, and typed actions."""
