from hypothesis import given
from hypothesis import strategies as st
from shelf import Book, as_table, reading_time

books = st.builds(
    Book,
    title=st.text("abcdefgh ", min_size=1, max_size=20).map(str.strip).filter(bool),
    words=st.integers(1, 10**6),
)


def titles(table):
    return [line.split("|")[1].strip() for line in table.splitlines()[2:]]


def test_the_table_has_the_shortest_book_first():
    table = as_table([Book("War and Peace", 587_000), Book("The Nose", 9_600)])

    assert titles(table) == ["The Nose", "War and Peace"]


def test_reading_time_is_said_as_people_say_it():
    assert reading_time([Book("The Nose", 9_600)]) == "40 minutes"


@given(st.lists(books))
def test_every_book_has_a_row(shelf):
    assert sorted(titles(as_table(shelf))) == sorted(book.title for book in shelf)
