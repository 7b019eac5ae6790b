"""The operator's engine: cache, keyed queue, reconcilers, leader election and heartbeat."""
