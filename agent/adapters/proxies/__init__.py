"""The only ways out of the sandbox: the metering proxy of the cluster, and the egress proxy."""
