import pytest
from hypothesis import given, settings, strategies as st

from nexa_node.contract.errors import Invalid
from nexa_node.core.topics import (
    TOPIC_TOKENS,
    Trie,
    check_pattern,
    check_topic,
    cover,
    covers,
    matches,
)

TOKENS = st.sampled_from(["a", "b", "c"])
TOPICS = st.lists(TOKENS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.builds(
    lambda tokens, rest: ".".join([*tokens, *rest]),
    st.lists(st.sampled_from(["a", "b", "c", "*"]), min_size=1, max_size=3),
    st.sampled_from([[], [">"]]),
) | st.just(">")


@pytest.mark.parametrize(
    ("pattern", "topic", "met"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("*.b.>", "a.b.c", True),
        (">", "a", True),
        ("a", "a.b", False),
    ],
)
def test_wildcards_stand_for_what_nats_says(
    pattern: str, topic: str, met: bool
) -> None:
    assert matches(pattern, topic) is met


@given(st.lists(st.tuples(PATTERNS, st.integers(0, 3)), max_size=20), TOPICS)
def test_the_trie_finds_what_a_look_at_each_finds(
    held: list[tuple[str, int]], topic: str
) -> None:
    trie: Trie[tuple[str, int]] = Trie()
    for item in held:
        trie.add(item[0].split("."), item)

    found = trie.match(topic.split("."))
    assert sorted(found) == sorted({item for item in held if matches(item[0], topic)})


@given(st.lists(PATTERNS, max_size=12), st.data())
def test_what_is_removed_is_not_found_and_leaves_nothing(
    patterns: list[str], data: st.DataObject
) -> None:
    trie: Trie[int] = Trie()
    for number, pattern in enumerate(patterns):
        trie.add(pattern.split("."), number)
    order = data.draw(st.permutations(list(enumerate(patterns))))
    left = dict(enumerate(patterns))
    for number, pattern in order:
        trie.remove(pattern.split("."), number)
        trie.remove(pattern.split("."), number)
        del left[number]
        found = trie.match(["a", "b"])
        assert sorted(found) == [n for n, each in left.items() if matches(each, "a.b")]

    assert not trie


@given(PATTERNS, PATTERNS, TOPICS)
def test_a_wider_pattern_meets_all_that_a_narrower_one_meets(
    wide: str, narrow: str, topic: str
) -> None:
    assert covers(wide, wide)
    if covers(wide, narrow) and matches(narrow, topic):
        assert matches(wide, topic)


@settings(max_examples=300)
@given(st.lists(PATTERNS, max_size=12), TOPICS, st.integers(1, 4))
def test_a_cover_is_small_and_misses_nothing(
    patterns: list[str], topic: str, most: int
) -> None:
    found = cover(patterns, at_most=most)

    assert len(found) <= most
    if any(matches(each, topic) for each in patterns):
        assert any(matches(each, topic) for each in found)
    if not patterns:
        assert found == ()


def test_many_topics_that_begin_alike_are_covered_by_what_they_share() -> None:
    patterns = [f"jobs.j{n}" for n in range(50)] + ["news", "news.a", "news.b.*"]

    assert set(cover(patterns)) == {"jobs.>", "news", "news.a", "news.b.*"} or set(
        cover(patterns)
    ) == {"jobs.>", "news", "news.>"}
    assert cover([f"t{n}.x" for n in range(50)]) == (">",)
    assert cover(["a.b", "a.>", "a.*"]) == ("a.>",)


@pytest.mark.parametrize("topic", ["a", "a.b-c.d_9", ".".join("a" * TOPIC_TOKENS)])
def test_dotted_slugs_are_topics(topic: str) -> None:
    check_topic("to.topic", topic)
    check_pattern("topic", topic)


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("", "0 characters"),
        ("a" * 256, "256 characters"),
        (".".join("a" * (TOPIC_TOKENS + 1)), "17 tokens"),
        ("a..b", "see ''"),
        (".a", "see ''"),
        ("a.B", "see 'B'"),
        ("a b", "see 'a b'"),
        ("a.\r\nb", "see"),
        ("é", "see"),
        ("a.b*", "see 'b[*]'"),
        ("$KV.nx_tasks.x", "see"),
    ],
)
def test_anything_else_is_refused_and_says_why(topic: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        check_topic("to.topic", topic)
    with pytest.raises(Invalid, match=why):
        check_pattern("topic", topic)


def test_wildcards_are_for_subscriptions_and_the_rest_comes_last() -> None:
    for pattern in ("*", ">", "a.*.b", "*.>"):
        check_pattern("topic", pattern)
        with pytest.raises(Invalid):
            check_topic("to.topic", pattern)
    for pattern in (">.a", "a.>.b", ">>", "**"):
        with pytest.raises(Invalid):
            check_pattern("topic", pattern)
