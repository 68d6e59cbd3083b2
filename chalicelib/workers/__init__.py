"""The event face: what queues, streams and schedules call."""
