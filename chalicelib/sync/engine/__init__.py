"""One sync of an account: its folders, in which order, until all are current."""
