"""Mail servers that tests run against, each started by us on free ports of the loopback and ended by us."""
