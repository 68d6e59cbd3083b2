"""Headers of a mail: addresses, ids, dates, parameters."""
