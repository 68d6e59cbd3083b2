"""Table `work`: what is due, under way, limited or counted."""
