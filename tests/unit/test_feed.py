from chalicelib.deltas import feed
from chalicelib.domain.log.delta import Change, Delta, Operation
from tests.fakes.services import MemoryLog

C, M, D = Operation.CREATE, Operation.MODIFY, Operation.DELETE


def log(*changes: tuple[str, Operation] | tuple[str, Operation, str]) -> MemoryLog:
    made = MemoryLog()
    for rev, (id, event, *kind) in enumerate(changes, 1):
        change = Change(account_id="acc", kind=kind[0] if kind else "message", id=id, event=event, rev=rev)
        made.append("acc", [change], at=100 + rev)
    return made


def shown(page: feed.Page) -> list[tuple[int, str, Operation]]:
    return [(d.seq, d.change.id, d.change.event) for d in page.deltas]


def test_changes_of_one_object_become_the_latest() -> None:
    page = feed.page(log(("a", M), ("b", M), ("a", M)), "acc", 0, 100)
    assert shown(page) == [(2, "b", M), (3, "a", M)]
    assert (page.end_seq, page.end_at) == (3, 103)


def test_a_new_object_modified_in_the_same_page_is_still_new() -> None:
    assert shown(feed.page(log(("a", C), ("a", M), ("a", M)), "acc", 0, 100)) == [(3, "a", C)]


def test_a_delete_stays_and_swallows_what_came_before() -> None:
    assert shown(feed.page(log(("a", C), ("a", M), ("a", D)), "acc", 0, 100)) == [(3, "a", D)]


def test_objects_of_two_kinds_do_not_mix() -> None:
    assert len(feed.page(log(("a", C), ("a", C, "thread")), "acc", 0, 100).deltas) == 2


def test_pages_that_are_filtered_away_are_passed_over() -> None:
    entries = log(*[("t", M, "thread")] * 5, ("a", C))
    page = feed.page(entries, "acc", 0, 2, keep=lambda change: change.kind == "message")
    assert shown(page) == [(6, "a", C)]


def test_the_cursor_moves_even_if_everything_is_filtered_away() -> None:
    page = feed.page(log(*[("t", M, "thread")] * 3), "acc", 0, 2, keep=lambda change: False)
    assert page == feed.Page((), 3, 103)


def test_a_client_that_is_up_to_date_stays_where_it_is() -> None:
    assert feed.page(log(("a", C)), "acc", 1, 100) == feed.Page((), 1)


def test_paging_to_the_end_leaves_nothing_out() -> None:
    entries = log(*[(f"m{n % 7}", M) for n in range(50)])
    seq = 0
    last: dict[str, Delta] = {}
    while (page := feed.page(entries, "acc", seq, 4)).end_seq > seq:
        seq, last = page.end_seq, last | {d.change.id: d for d in page.deltas}
    assert {id: d.seq for id, d in last.items()} == {f"m{n % 7}": n + 1 for n in range(50)}
