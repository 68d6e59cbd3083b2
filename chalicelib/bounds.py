"""Every length, count, depth and time that a stranger controls, with the bound we set to it.

A stranger is whoever writes a mail, runs a mail server, answers a webhook, or calls the API. docs/limits.md
lists the same names with what happens beyond each; a test compares the two. Units stand in the name or in
the sentence below it. Settings of a deployment are in `config.py`.
"""

from __future__ import annotations

# --- Mail coming in: bytes, parts and headers of one message --------------------------------------------

SUBJECT_CHARACTERS = 255
"""Longer subjects are cut."""

# --- Threads: what one message may do to the conversations around it ------------------------------------

# --- Mail servers: what a server may answer, and how long it may take -----------------------------------

ANSWER_BYTES = 256_000_000
"""What a server may send in answer to one command after the login."""

# --- Requests and responses of the API ------------------------------------------------------------------

IDS_IN_A_LIST = 100
"""Ids that one request may name, separated by commas."""

# --- Connecting accounts, guessing, waiting -------------------------------------------------------------

# --- Mail going out -------------------------------------------------------------------------------------

SENT_BYTES = 25_000_000
"""The finished mail as it goes to the SMTP server."""

# --- Webhooks -------------------------------------------------------------------------------------------

WEBHOOK_RESPONSE_BYTES = 65_536
"""What is read of an endpoint's response."""
