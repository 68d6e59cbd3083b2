"""Labels in the rows of the table `mail`, and what its stream tells of them."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.log.delta import Change, Operation
from chalicelib.domain.mail.folder import Folder
from chalicelib.store.aws.dynamo import Item
from chalicelib.store.objects.rows import folder_item, folder_of, message_item, message_of
from chalicelib.store.objects.stream import change_of
from tests.worlds.rows import MESSAGE

LABEL = Folder(
    id="l", account_id="a", collection="Taxes", display_name="Taxes", role=None, created_at=1, rev=1,
    label=True, mark="12",
)  # fmt: skip


def told(old: Item | None, new: Item | None) -> Change | None:
    images = {"OldImage": old, "NewImage": new}
    return change_of({"eventName": "X", "dynamodb": {k: v for k, v in images.items() if v is not None}})


def test_a_label_and_its_messages_are_read_as_they_were_written() -> None:
    folder = replace(LABEL, label=False, mark="")
    assert [folder_of(folder_item(one)) for one in (LABEL, folder)] == [LABEL, folder]
    plain = replace(MESSAGE, label_ids=(), identity="")
    assert [message_of(message_item(one)) for one in (MESSAGE, plain)] == [MESSAGE, plain]
    assert not {"la", "pi"} & message_item(plain).keys()


def test_other_labels_are_a_change_that_clients_hear_of() -> None:
    change = told(message_item(MESSAGE), message_item(replace(MESSAGE, label_ids=("l",), rev=2)))
    assert change is not None and (change.kind, change.event) == ("message", Operation.MODIFY)


def test_an_identity_or_a_mark_is_of_no_concern_to_clients() -> None:
    assert told(message_item(MESSAGE), message_item(replace(MESSAGE, identity="18", rev=2))) is None
    assert told(folder_item(LABEL), folder_item(replace(LABEL, mark="13", rev=2))) is None


def test_a_label_is_told_as_a_label() -> None:
    change = told(None, folder_item(LABEL))
    assert change is not None and (change.kind, change.event) == ("label", Operation.CREATE)
    change = told(folder_item(LABEL), None)
    assert change is not None and (change.kind, change.event) == ("label", Operation.DELETE)
