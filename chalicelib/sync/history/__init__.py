"""History in turns, beside what is new, within a day's quota."""
