"""From the log to an endpoint: batches, attempts, retries, rest and recovery."""
