"""ministack as the local runtime runs it: what it lacks, and what makes it faster."""
