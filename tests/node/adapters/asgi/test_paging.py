"""Pages of a list that is given whole."""

from hypothesis import given, strategies as st

from nexa_node.adapters.asgi.paging import PageQuery, page_of


@given(st.sets(st.text(min_size=1)), st.integers(1, 5))
def test_all_pages_together_are_the_list(items: set[str], limit: int) -> None:
    told: list[str] = []
    query = PageQuery(limit=limit)
    while True:
        page = page_of(items, query, key=str)
        told += page.items
        if page.next_cursor is None:
            break
        query = PageQuery(limit=limit, cursor=page.next_cursor)

    assert told == sorted(items)


def test_an_item_that_goes_between_two_pages_hides_no_other() -> None:
    first = page_of(["a", "b", "c"], PageQuery(limit=2), key=str)
    second = page_of(["a", "c"], PageQuery(cursor=first.next_cursor), key=str)

    assert second.items == ("c",)
