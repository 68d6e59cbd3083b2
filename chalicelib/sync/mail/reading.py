"""What a parsed mail says of a message: at first sight, and once all of it is here."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.mail.message import File, Message, RawRef
from chalicelib.domain.remote import RemoteMessage
from chalicelib.formats.mime.fingerprint import fingerprint
from chalicelib.formats.mime.mime import ParsedMail
from chalicelib.formats.mime.parts import ParsedPart
from chalicelib.ids import dated_id
from chalicelib.sync.mail.extent import within_a_row
from chalicelib.sync.mail.identity import public_id


def message_of(account_id: str, remote: RemoteMessage, mail: ParsedMail) -> Message:
    """Return a message as it looks before we know our own; of a mere beginning no files are known."""
    print_ = "" if remote.identity else fingerprint(remote.raw, whole=remote.whole)
    id = public_id(account_id, remote, mail, print_)
    seen = Message(
        id=id,
        account_id=account_id,
        thread_id="",
        subject=mail.subject,
        sender=mail.sender,
        to=mail.to,
        cc=mail.cc,
        bcc=mail.bcc,
        reply_to=mail.reply_to,
        date=remote.received_at,
        size=remote.octets,
        snippet=mail.snippet,
        files=_files(id, remote.received_at, mail) if remote.whole else (),
        message_id=mail.message_id,
        in_reply_to=mail.in_reply_to,
        references=mail.references,
        folder_id=None,
        unread=False,
        starred=False,
        identity=remote.identity,
        fingerprint=print_,
    )
    return within_a_row(seen)


def completed(message: Message, mail: ParsedMail, raw: RawRef, print_: str) -> Message:
    """Return a message, of which only the beginning was here, with what the whole of it says."""
    files = _files(message.id, message.date, mail)
    print_ = print_ if message.fingerprint else ""
    return within_a_row(replace(message, snippet=mail.snippet, files=files, raw=raw, fingerprint=print_))


def _files(id: str, at: int, mail: ParsedMail) -> tuple[File, ...]:
    return tuple(_file(id, at, part) for part in mail.parts if part.listed)


def _file(message_id: str, at: int, part: ParsedPart) -> File:
    return File(
        id=dated_id(at, message_id, "file", str(part.part)),
        filename=part.filename,
        content_type=part.content_type,
        size=part.size,
        disposition=part.disposition,
        content_id=part.content_id,
        part=part.part,
    )
