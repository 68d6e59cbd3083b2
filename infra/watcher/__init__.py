"""The watcher: holds IMAP IDLE on the inbox of every connected account and only enqueues syncs.

poll list ──▶ service ──▶ a watch per account ──▶ gate ──▶ login (thread) ──▶ vigil on a wire
                                 │ changes
                                 ▼
                             debounce ──▶ outbox ──▶ queue `sync`
"""
