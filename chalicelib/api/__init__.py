"""The HTTP face: one blueprint per resource."""

from chalicelib.api.auth.native import connect
from chalicelib.api.deltas.application_deltas import application_deltas
from chalicelib.api.deltas.deltas import deltas
from chalicelib.api.greeting import greeting
from chalicelib.api.mail.files import files
from chalicelib.api.mail.folders import folders
from chalicelib.api.mail.messages import messages
from chalicelib.api.mail.search import search
from chalicelib.api.mail.send import sending
from chalicelib.api.mail.threads import threads
from chalicelib.api.manage.accounts import accounts
from chalicelib.api.manage.applications import management
from chalicelib.api.manage.budgets import budgets
from chalicelib.api.manage.deliveries import deliveries
from chalicelib.api.manage.quarantine import quarantine
from chalicelib.api.manage.removals import removals
from chalicelib.api.manage.webhooks import webhooks

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
