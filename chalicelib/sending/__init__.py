"""From a request to a mail accepted by the user's own SMTP server."""
