"""Table `core`: applications, accounts, tokens, webhooks, checkpoints, sealed secrets."""
