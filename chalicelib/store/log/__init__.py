"""Table `log`: the change log of each account."""
