"""A reading list as a table."""

from dataclasses import dataclass

from humanize import intword, naturaldelta
from tabulate import tabulate

WORDS_A_MINUTE = 240


@dataclass(frozen=True)
class Book:
    title: str
    words: int

    @property
    def minutes(self):
        return self.words / WORDS_A_MINUTE


def reading_time(books):
    """Return how long all of the books take, as people say it."""
    return naturaldelta(sum(book.minutes for book in books) * 60)


def as_table(books):
    """Return the books as a Markdown table, the shortest one first."""
    ordered = sorted(books, key=lambda book: (book.words, book.title))
    rows = [(book.title, intword(book.words), naturaldelta(book.minutes * 60)) for book in ordered]
    return tabulate(rows, headers=["title", "words", "time"], tablefmt="github")
