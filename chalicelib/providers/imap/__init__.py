"""IMAP4rev1 (RFC 3501) with CONDSTORE (RFC 7162) as a Provider."""
