"""The HTTP face: one blueprint per resource."""

from chalicelib.api.accounts import accounts
from chalicelib.api.application_deltas import application_deltas
from chalicelib.api.budgets import budgets
from chalicelib.api.connect import connect
from chalicelib.api.deliveries import deliveries
from chalicelib.api.deltas import deltas
from chalicelib.api.files import files
from chalicelib.api.folders import folders
from chalicelib.api.greeting import greeting
from chalicelib.api.management import management
from chalicelib.api.messages import messages
from chalicelib.api.quarantine import quarantine
from chalicelib.api.removals import removals
from chalicelib.api.search import search
from chalicelib.api.send import sending
from chalicelib.api.threads import threads
from chalicelib.api.webhooks import webhooks

BLUEPRINTS = (
    accounts,
    application_deltas,
    budgets,
    connect,
    deliveries,
    deltas,
    files,
    folders,
    greeting,
    management,
    messages,
    quarantine,
    removals,
    search,
    sending,
    threads,
    webhooks,
)
BINARY_TYPES = ["message/rfc822", "application/octet-stream"]
