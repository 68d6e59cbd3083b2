"""Who is named in the headers of a mail, and who is not."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib import bounds
from chalicelib.domain.mail.message import Address
from chalicelib.formats.header import address_tokens
from chalicelib.formats.header.addresses import _without_comments, addresses
from chalicelib.formats.mime.mime import parse

ANN = "ann@a.example"


def people(*headers: str) -> list[tuple[str, str]]:
    raw = "".join(f"To: {header}\r\n" for header in headers) + "\r\n"
    return [(person.name, person.email) for person in parse(raw.encode()).to]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("=?utf-8?Q?Info:_Ann=C3=A9?= <ann@a.example>", "Info: Anné"),
        ("=?utf-8?Q?Ann_(Sales)?= <ann@a.example>", "Ann (Sales)"),
        ("=?utf-8?Q?Ann_<3?= <ann@a.example>", "Ann <3"),
        ("=?utf-8?Q?Smith,_Ann?= <ann@a.example>", "Smith, Ann"),
        ("=?utf-8?Q?a;b?= <ann@a.example>", "a;b"),
        ('=?utf-8?Q?Ann_"A"_Smith?= <ann@a.example>', 'Ann "A" Smith'),
        ("=?utf-8?Q?ann@home?= <ann@a.example>", "ann@home"),
        ("=?utf-8?Q?Really??= <ann@a.example>", "Really?"),
        ("=?utf-8?Q?A,?= =?utf-8?Q?_B?= <ann@a.example>", "A, B"),
        ("=?utf-8*de?Q?M:=C3=BC?= <ann@a.example>", "M:ü"),
    ],
)
def test_an_encoded_word_is_one_piece_of_a_name_whatever_it_holds(header: str, name: str) -> None:
    assert people(header) == [(name, ANN)]


@pytest.mark.parametrize(
    "header",
    [
        '"Reply to eve@e.example" ann@a.example',
        '"eve@e.example" ann@a.example',
        '"eve@e.example," ann@a.example',
        '"<eve@e.example>" <ann@a.example>',
        '"a \\" <eve@e.example>" ann@a.example',
        'ann@a.example "eve@e.example"',
        "(eve@e.example) ann@a.example",
        "ann@a.example (eve@e.example)",
        "(a (b <eve@e.example>) c) ann@a.example",
        "(\\( eve@e.example) ann@a.example",
        "ann(eve@e.example)@a.example",
        "<ann@a.example(eve@e.example)>",
        "<(eve@e.example)ann@a.example>",
        "<ann@a.example (x (eve@e.example) y)>",
        "eve@e.example: ann@a.example;",
        '"eve@e.example": ann@a.example;',
        "Eve <eve@e.example>: ann@a.example;",
        '"eve@e.example", <ann@a.example>',
        "<@e.example,@f.example:ann@a.example>",
        "=?utf-8?Q?eve=40e.example?= ann@a.example",
        "=?utf-8?Q?=3Ceve=40e.example=3E?= <ann@a.example>",
        "=?utf-8?Q?eve=40e.example=2C?= <ann@a.example>",
        "=?utf-8?B?ZXZlQGUuZXhhbXBsZSw=?= ann@a.example",
        "=?utf-8?Q?<eve@e.example>?= ann@a.example",
        "=?utf-8?Q?eve@e.example,?= <ann@a.example>",
    ],
)
def test_what_looks_like_an_address_in_a_name_or_comment_is_none(header: str) -> None:
    assert [email for _, email in people(header)] == [ANN]


@pytest.mark.parametrize(
    "header",
    [
        "=?utf-8?Q?eve=40e.example?=",
        "=?utf-8?Q?Eve_=3Ceve=40e.example=3E?=",
        "<=?utf-8?Q?eve=40e.example?=>",
        "eve@=?utf-8?Q?e.example?=",
        "eve =?utf-8?Q?=40?= e.example",
        "(eve@e.example)",
        '"Eve eve@e.example"',
        "eve@e.example:;",
        "Eve <>",
        "undisclosed-recipients:;",
    ],
)
def test_no_address_is_made_where_none_is_written(header: str) -> None:
    assert people(header) == []


def test_an_encoded_local_part_is_decoded_as_long_as_it_stays_one() -> None:
    assert people("=?utf-8?Q?j=C3=BCrgen?=@a.example") == [("", "jürgen@a.example")]
    for part in ("eve=40e.example", "eve=3E", "eve=2C", "eve=20x"):
        assert people(f"<=?utf-8?Q?{part}?=@a.example>") == [("", f"=?utf-8?Q?{part}?=@a.example")]


@pytest.mark.parametrize(
    ("header", "email"),
    [
        ("ann@exam\r\n ple.example", "ann@example.example"),
        ("ann@\r\n a.example", ANN),
        ("ann\r\n\t@a.example", ANN),
        ("ann@a.\r\n example", ANN),
        ("ann@a\r\n .example", ANN),
        ("ann.longna\r\n me@a.example", "ann.longname@a.example"),
        ("ann@long-\r\n host.example", "ann@long-host.example"),
        ("<ann@exam\r\n ple.example>", "ann@example.example"),
        ("ann @ a . example", ANN),
        ("<ann @ a . example>", ANN),
        ("<@hosta.example,@jkl.example:ann@a.example>", ANN),
        ("<@hosta.example:ann@a.example>", ANN),
        ("@hosta.example,@jkl.example:ann@a.example", ANN),
        ("<@hosta.example,\r\n @jkl.example:ann@a.example>", ANN),
        ("mailto:ann@a.example", ANN),
        ("Ann [ann@a.example]", ANN),
        ("ann@a.example:25", ANN),
        ('"ann smith"@a.example', '"ann smith"@a.example'),
        ('<"ann>eve@e.example"@a.example>', '"ann>eve@e.example"@a.example'),
        ('<"a(b)"@a.example>', '"a(b)"@a.example'),
        ("ann@[IPv6:2001:db8::1]", "ann@[IPv6:2001:db8::1]"),
        ("Ann <ann@[127.0.0.1]>", "ann@[127.0.0.1]"),
    ],
)
def test_an_address_is_whole_wherever_it_was_folded_or_routed(header: str, email: str) -> None:
    assert [found for _, found in people(header)] == [email]


@pytest.mark.parametrize(
    "header",
    [
        "ann@a.example bob@b.example",
        "ann@a.example\r\n bob@b.example",
        "ann@a.example; bob@b.example",
        "Friends: ann@a.example, bob@b.example;",
        "Friends: ann@a.example;, bob@b.example",
        "(unclosed, ann@a.example, bob@b.example",
        '"unclosed, ann@a.example, bob@b.example',
        "ann@a.example,, bob@b.example,",
        "<ann@a.example> (work, <bob@b.example>",
    ],
)
def test_nobody_is_dropped_for_a_missing_comma_or_bracket(header: str) -> None:
    assert [email for _, email in people(header)] == [ANN, "bob@b.example"]


def test_a_name_beside_a_bare_address_stays_a_name() -> None:
    assert people("Dr. ann@a.example") == [("Dr.", ANN)]
    assert people("Ann\r\n ann@a.example") == [("Ann", ANN)]
    assert people("Ann Smith ann@a.example (work)") == [("Ann Smith", ANN)]


def test_an_address_in_quotes_alone_is_the_address() -> None:
    assert people('"ann@a.example"') == [("", ANN)]
    assert people('"ann@a.example", Bob <bob@b.example>') == [("ann@a.example, Bob", "bob@b.example")]


def test_an_address_that_is_too_long_is_left_out_rather_than_cut_into_another() -> None:
    long = "a" * (bounds.ADDRESS_LENGTH - len("@bank.example")) + "@bank.example"
    assert people(f"Ann <{long}>") == [("Ann", long)]
    assert people(f"Ann <{long}.evil.example>", f"<{ANN}>") == [("", ANN)]


@pytest.mark.parametrize(
    "pattern", ['"\\', '\\"', '"', "(", "(a", "\\(", "<", '<"', "a@b:", "a:", "=?a?q?", "@", "a "]
)
def test_a_long_header_takes_a_number_of_pieces_that_grows_with_its_length(pattern: str) -> None:
    value = pattern * (200_000 // len(pattern))
    pieces = list(address_tokens.tokens(value))
    assert "".join(content for _, content in pieces) == value
    assert len(addresses([value] * 6)) <= bounds.ADDRESSES


WORDS = st.text(st.sampled_from('ab@.,;:<>()"\\ =?_'), max_size=12)


@settings(deadline=None)
@given(WORDS)
def test_no_quoted_name_changes_the_address_behind_it(name: str) -> None:
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert [person.email for person in addresses([f"{quoted} <{ANN}>"])] == [ANN]
    assert [person.email for person in addresses([f"{quoted} {ANN}"])] == [ANN]


@settings(deadline=None)
@given(WORDS)
def test_no_comment_changes_the_address_beside_it(comment: str) -> None:
    escaped = "".join(f"\\{char}" if char in "()\\" else char for char in comment)
    for header in (f"({escaped}) {ANN}", f"{ANN} ({escaped})", f"({escaped}) <{ANN}>"):
        assert [person.email for person in addresses([header])] == [ANN]


@settings(deadline=None)
@given(st.text(max_size=12))
def test_no_encoded_name_changes_the_address_behind_it(name: str) -> None:
    payload = "".join(f"={byte:02X}" for byte in name.encode("utf-8", "replace"))
    assert [person.email for person in addresses([f"=?utf-8?Q?{payload}?= <{ANN}>"])] == [ANN]
    assert [person.email for person in addresses([f"=?utf-8?Q?{payload}?= {ANN}"])] == [ANN]


@settings(deadline=None)
@given(st.text(st.sampled_from('ab@.,;:<>()"\\ \n=?_[]\0é'), max_size=40))
def test_whatever_is_written_gives_addresses_that_can_be_stored(value: str) -> None:
    for person in addresses([value]):
        assert isinstance(person, Address)
        assert person.email and len(person.email) <= bounds.ADDRESS_LENGTH
        (person.name + person.email).encode()


@pytest.mark.parametrize(
    "header",
    [
        "<Ann R <ann@a.example, Bob B <bob@b.example, carl@c.example>, Dora <dora@d.example>",
        "Ann <ann@a.example, Bob <bob@b.example>, carl@c.example, dora@d.example",
        "<ann@a.example; bob@b.example; carl@c.example>, <dora@d.example>",
        "<ann@a.example, bob@b.example>, <carl@c.example, dora@d.example>",
        "Ann <ann@a.example,Bob <bob@b.example,Carl <carl@c.example,Dora <dora@d.example",
    ],
)
def test_a_bracket_that_nobody_closed_ends_at_the_comma(header: str) -> None:
    assert [email for _, email in people(header)] == [
        f"{n}@{n[0]}.example" for n in "ann bob carl dora".split()
    ]


@pytest.mark.parametrize(
    ("inside", "email"),
    [
        ("(a(b)c)ann@a.example", ANN),
        ("ann(a)(b(c))@a.example", ANN),
        ("ann@a.example(a)(b", "ann@a.example(b"),
        ("ann@a.example)(a)", "ann@a.example)"),
        ("((a)ann@a.example", "(ann@a.example"),
    ],
)
def test_comments_are_left_out_and_lonely_parentheses_stay(inside: str, email: str) -> None:
    assert _without_comments(inside) == email


@pytest.mark.parametrize("pattern", ["(", "()", "(()", "<(", "a(", ")(", '"(', "=?(", "@(", ",<("])
@pytest.mark.parametrize("closed", [True, False])
def test_nested_comments_of_any_depth_take_one_pass(pattern: str, closed: bool) -> None:
    value = "<" + pattern * 40_000 + (")" * 40_000 if closed else "") + ANN
    assert len(addresses([value, value])) <= bounds.ADDRESSES  # after minutes, if each level took a pass


PIECES = st.lists(
    st.sampled_from([*'abQB?=_ \n<>@,;:"()\\-.é', "=?utf-8?Q?", "=?utf-8?B?", "?=", "ann@a.example", "w4k="])
)


@settings(max_examples=500, deadline=None)
@given(PIECES.map("".join), st.sampled_from(["", " <ann@a.example>", "<ann@a.example>", "\n <a@b.example>"]))
def test_the_short_ways_of_ordinary_headers_lead_to_the_same(words: str, end: str) -> None:
    short = addresses([words + end])
    never = re.compile(r"(?!)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chalicelib.formats.header.addresses._SIMPLE_ENCODED", never)
        assert addresses([words + end]) == short


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["=?utf-8?Q?a_b?=", "=?utf-8?B?w4k=?=", "=?x?q?=C3?=", " ", "\n"]), min_size=1)
)
def test_a_name_in_encoded_words_is_read_the_short_way_as_the_long_one(words: list[str]) -> None:
    header = f"{''.join(words)} <{ANN}>"
    short = addresses([header])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chalicelib.formats.header.addresses._SIMPLE_ENCODED", re.compile(r"(?!)"))
        assert addresses([header]) == short
