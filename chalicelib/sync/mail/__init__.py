"""Taking mail in, batch by batch: what is stored, in which thread, for how long."""
