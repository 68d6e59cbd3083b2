"""Every length, count, depth and time that a stranger controls, with the bound we set to it.

A stranger is whoever writes a mail, runs a mail server, answers a webhook, or calls the API. docs/limits.md
lists the same names with what happens beyond each; a test compares the two. Units stand in the name or in
the sentence below it. Settings of a deployment are in `config.py`.
"""

from __future__ import annotations

# --- Mail coming in: bytes, parts and headers of one message --------------------------------------------

SUBJECT_CHARACTERS = 255
"""Longer subjects are cut."""

HEAD_BYTES = 1_000_000
"""Headers of a mail and of its parts, together."""

HEAD_LINES = 20_000
"""Lines of one head."""

HEADER_CHARACTERS = 20_000
"""What is read of a subject, a file name, a Content-Type and the like."""

HEAD_SEARCH_BYTES = 4_000
"""Where a head may begin after a blank line, a byte order mark or junk."""

JUNK_LINES = 8
"""Lines in a row that are no headers and stand among headers."""

ADDRESS_CHARACTERS = 150_000
"""What is read of all headers of one kind that name people."""

ADDRESS_PIECES = 20_000
"""Words, quoted strings, brackets and commas in all headers of one kind that name people."""

ADDRESSES = 1_000
"""People in all headers of one kind."""

ADDRESS_LENGTH = 320
"""Characters of an e-mail address (RFC 3696: 64 before the @ and 255 behind it)."""

NAME_CHARACTERS = 255
"""The display name of a person."""

FILENAME_CHARACTERS = 255
"""The name of a file."""

CONTENT_ID_CHARACTERS = 998
"""The Content-ID of a part."""

PARTS = 2_000
"""Parts of a mail, containers included."""

PART_DEPTH = 64
"""Multiparts within multiparts."""

SEARCHES = 8
"""How often the length of a mail is searched for the delimiters of its multiparts."""

TEXT_BYTES = 3_000_000
"""What is decoded of one text part to show it, before its transfer encoding is undone."""

BODY_BYTES = 1_000_000
"""The body of a message as HTML, in UTF-8."""

INDENT_COLUMNS = 80
"""Blanks at the beginning of a line of plain text."""

SNIPPET_CHARACTERS = 191
"""The first words of a message."""

SNIPPET_PARTS = 10
"""Text parts whose first words are looked at."""

SNIPPET_SOURCE_CHARACTERS = 20_000
"""What is read of a page at once for its first words."""

UU_LINES = 1_000_000
"""Lines of a file in uuencode."""

DATED_HEADER_BYTES = 64_000
"""The part of a message that is looked through for its date, if the server does not tell it."""

DATE_CHARACTERS = 100
"""What is read of a Date header."""

DATE_CLAIMS = 10
"""So many Date and Received headers are read in search of a date."""

PEOPLE_BYTES = 130_000
"""The people of a message as its row holds them; DynamoDB takes rows of 409,600 bytes."""

FILES_BYTES = 130_000
"""The files of a message, likewise."""

REFERENCES_BYTES = 60_000
"""The references of a message, likewise."""

# --- Threads: what one message may do to the conversations around it ------------------------------------

MESSAGE_ID_CHARACTERS = 998
"""A longer text in angle brackets is no Message-ID (RFC 5322 §2.1.1: the longest line)."""

REFERENCES = 100
"""Of more references the first and the latest are kept."""

THREAD_MESSAGES = 500
"""What does not fit into a thread begins a new one."""

THREAD_PARTICIPANTS = 100
"""The people a thread names."""

PARTICIPANT_CHARACTERS = 320
"""The name and the address of one of them (RFC 3696 erratum 1690: an address has at most 254)."""

LISTED_THREAD_MESSAGES = 100
"""The latest messages that an expanded thread shows in a list and in a delta; alone it shows all."""

MESSAGE_ID_BEARERS = 50
"""Messages that are remembered to bear one Message-ID."""

MESSAGE_ID_SIGNS = 24
"""Signs, with up to two threads each, by which one Message-ID is remembered as a conversation's beginning."""

SIGN_PEOPLE = 5
"""Recipients of a mail that count as signs of its conversation."""

SUBJECT_DAYS = 14
"""So much later a reply without references still joins mail of its subject."""

SUBJECT_MAILS = 20
"""Mails without references that are remembered for one subject and a fortnight."""

SUBJECT_PEOPLE = 10
"""People of a mail without references who are compared with those of others."""

# --- Mail servers: what a server may answer, and how long it may take -----------------------------------

OPENING_SECONDS = 15
"""Connecting to a mail server, its TLS, its greeting and the login, all together."""

CONNECTING_SECONDS = 25
"""Trying both servers of an account that is being connected, the listing of its folders included."""

LOGIN_BYTES = 64_000
"""What a server may say before and during the login, literals included."""

REFUSAL_CHARACTERS = 500
"""What is read of a server's words of refusal."""

BACKOFF_SECONDS = 86_400
"""The longest rest that a server may ask for."""

FOLDERS = 10_000
"""Folders of one account."""

FOLDER_NAME_BYTES = 1_000
"""The longest name of a folder, as the server writes it."""

LITERAL_BYTES = 160_000_000
"""The largest piece that a server may announce, and the largest message: the largest servers take 150 MB."""

LINE_BYTES = 64_000_000
"""The longest line of a mail server."""

ANSWER_BYTES = 256_000_000
"""What a server may send in answer to one command after the login."""

SEARCH_KEYS_DEPTH = 20
"""Brackets, NOT and OR within each other in a search."""

SEARCH_FETCHED_MESSAGES = 100
"""Messages that a search brings here."""

SEARCH_FETCHED_BYTES = 16_000_000
"""Of mail that a search brings here."""

SEARCHED_HERE_MESSAGES = 200
"""The newest of a folder, whose beginnings are searched here for words outside ASCII if the server cannot."""

SEARCHED_IN_A_STEP = 20
"""Messages that a search fetches and takes in before it looks at the time again."""

RENEWALS_AT_ONCE = 3
"""Times one worker fetches a folder again whose server has numbered it anew; then the folder rests."""

RENEWALS = 30
"""Times this may happen to a folder with less than two days in between; then it rests before each."""

RENEWAL_REST_SECONDS = 86_400
"""The longest of these rests; they begin with ten minutes and double."""

ANSWER_SECONDS = 60
"""Until an answer is complete, however busily its server sends; more only for who sends much."""

ANSWER_BYTES_A_SECOND = 100_000
"""So many octets of an answer earn it one second more."""

LONGEST_ANSWER_SECONDS = 300
"""Until an answer is complete, however much it is."""

# --- Requests and responses of the API ------------------------------------------------------------------

IDS_IN_A_LIST = 100
"""Ids that one request may name, separated by commas."""

LIST_ITEMS = 1_000
"""What a list may be asked for at once, and how far into its results a search may be paged."""

PARAMETER_CHARACTERS = 255
"""A query parameter that is compared or searched for, and an address in one."""

ADDRESSES_IN_A_PARAMETER = 25
"""Addresses that one parameter may name."""

WINDOW_FOLDERS = 1_000
"""Folders for which one request may set a history window."""

RESPONSE_BYTES = 5_500_000
"""What a function answers with, quoted once more: Lambda takes 6 MB."""

BINARY_BYTES = 4_600_000
"""A file or a raw mail, which Lambda takes as base64; the local runtime has no such bound."""

BATCH_BYTES = 3_000_000
"""The deltas of one batch, quoted like that; a batch of one delta may be no larger either."""

ACCOUNT_BATCH_BYTES = 1_500_000
"""The deltas that one account brings into a batch of all accounts; after as many no other is begun."""

DELTA_BYTES = 1_000_000
"""One delta with its object, quoted like that."""

MESSAGES_IN_THREADS = 5_000
"""Messages shown inside the threads of one expanded list."""

STORED_BODY_BYTES = 2_000_000
"""What is unpacked of a body that lies in the table."""

OFFSET_ITEMS = 999_999_999
"""What a list may be asked to skip."""

# --- Connecting accounts, guessing, waiting -------------------------------------------------------------

CLIENT_ID_CHARACTERS = 100
"""Of a client id; ours have 25."""

CREDENTIAL_CHARACTERS = 1_000
"""Of a client secret, code or token in a body, and of a mailbox's user name or password."""

HOST_CHARACTERS = 253
"""Of a mail server's name (RFC 1035 2.3.4)."""

EMAIL_ADDRESS_CHARACTERS = 320
"""Of the address of an account: 64 before the @, 255 behind it (RFC 5321 4.5.3.1)."""

FIELD_CHARACTERS = 255
"""Of the name of an account or an application."""

SCOPES_CHARACTERS = 1_000
"""Of the scopes asked for, separated by commas."""

URL_CHARACTERS = 2_000
"""Of an application's icon or redirect URI."""

REDIRECT_URIS = 100
"""Of an application."""

CURSOR_ACCOUNTS = 10_000
"""Accounts whose places one request may have renewed in an application-wide cursor."""

CODE_SECONDS = 900
"""How long a one-time code is good, and the proof of a mailbox lies sealed beside it."""

QUOTA_SECONDS = 60
"""The span of the quotas below, but of failed logins."""

CONNECTS_PER_SOURCE = 60
"""Calls of /connect/authorize by one address in that span, without the client secret."""

CONNECTS_PER_APPLICATION = 3_000
"""Calls of /connect/authorize for one client id in that span, without the client secret: of fifty sources."""

TRUSTED_CONNECTS = 600
"""Calls of /connect/authorize with the client secret, of one application in that span."""

LOGIN_FAILURES = 5
"""Logins at one mail server under one user name that may fail in a span, of one address or application."""

LOGIN_FAILURES_OF_ALL = 100
"""The same of all addresses together, without the client secret."""

LOGIN_FAILURE_SECONDS = 600
"""The span of failed logins."""

WRONG_SECRETS_PER_SOURCE = 30
"""Wrong client secrets by one address in a span."""

WRONG_SECRETS_PER_APPLICATION = 120
"""Wrong client secrets for one client id in a span."""

WRONG_CODES = 60
"""Wrong one-time codes of one application in a span."""

CONNECTS_AT_ONCE_PER_SOURCE = 4
"""Logins under way at once for one address, without the client secret."""

WAITING_PER_ACCOUNT = 10
"""Longpolls of one account at once, and as many streams."""

# --- Mail going out -------------------------------------------------------------------------------------

SENT_BYTES = 25_000_000
"""The finished mail as it goes to the SMTP server."""

SENT_BODY_BYTES = 5_000_000
"""The HTML of a mail to be sent."""

SENT_SUBJECT_BYTES = 1_000
"""The subject of a mail to be sent, in UTF-8."""

SENT_NAME_BYTES = 1_000
"""The display name of each of its participants, in UTF-8."""

SENT_ADDRESS_CHARACTERS = 254
"""An address of its participants, with the domain in ASCII (RFC 5321, section 4.5.3.1)."""

SENT_RECIPIENTS = 500
"""Participants of `to`, `cc` and `bcc` together."""

SENT_CUSTOM_HEADERS = 50
"""Custom headers of a mail to be sent."""

SENT_HEADER_VALUE_BYTES = 5_000
"""The value of each of them, in UTF-8."""

SENT_WORD_CHARACTERS = 900
"""Characters of such a value without a blank: a line has 998 at most and ends at blanks only."""

SENT_HEADER_BYTES = 100_000
"""The header of a mail to be sent, as it is written: what common servers take and sync reads as a whole."""

SENT_REFERENCES_BYTES = 8_000
"""The Message-IDs of a conversation that a reply names behind the first."""

# --- Webhooks -------------------------------------------------------------------------------------------

WEBHOOKS = 50
"""Webhooks of one application."""

TRIGGERS = 100
"""Names of triggers in one request, repeated ones included."""

CALLBACK_CHARACTERS = 1_900
"""A callback URL; the challenge adds a few to the 2,000 that are called."""

WEBHOOK_RESPONSE_BYTES = 65_536
"""What is read of an endpoint's response."""
