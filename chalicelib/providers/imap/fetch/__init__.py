"""FETCH: what is new, beginnings, whole messages, several commands ahead."""
