"""Whom we speak to: one adapter per protocol; knows no AWS and no storage."""
