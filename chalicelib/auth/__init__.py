"""Who may ask: connecting accounts, tokens, applications."""
