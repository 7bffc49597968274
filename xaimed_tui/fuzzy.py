"""Match what a person types with names and paths: all letters in order; letters next to each other count most."""

from __future__ import annotations

from itertools import pairwise

_BOUNDARY = frozenset("/\\ _-.,:()[]")


def fuzzy(query: str, text: str) -> tuple[float, tuple[int, ...]]:
    """Say how well a text matches, and where.

    Case and blanks in the query are ignored. A query that is in the text as it is beats one whose letters are
    scattered; the beginnings of words and later places (a file's name in its path) count more. The work is linear in
    the text's length for any query.

    Returns:
        A score, 0 if the text does not match, and the matching places in the text. An empty query matches all at 1.
    """
    wanted, within = query.casefold(), text.casefold()
    if len(within) != len(text):
        within = text.lower() if len(text.lower()) == len(text) else text  # places must be those of the text
    if not wanted.strip():
        return 1.0, ()
    start = _best_start(wanted, within)
    if start >= 0:
        begins = start == 0 or within[start - 1] in _BOUNDARY
        whole = start == 0 and len(wanted) == len(within)
        places = tuple(range(start, start + len(wanted)))
        return 4.0 + 2.0 * begins + 4.0 * whole + len(wanted) / (len(within) + 1), places
    places = _scattered(wanted.replace(" ", ""), within)
    if not places:
        return 0.0, ()
    together = sum(1 for one, next_ in pairwise(places) if next_ == one + 1)
    beginnings = sum(1 for place in places if place == 0 or within[place - 1] in _BOUNDARY)
    return (together + beginnings + 1.0) / (len(places) + 1.0) + len(places) / (len(within) + 1) / 2, places


def _best_start(wanted: str, within: str) -> int:
    """Return the last place of the query in the text, at the beginning of a word if possible; -1 if there is none."""
    start = within.rfind(wanted)
    place = start
    while place > 0 and within[place - 1] not in _BOUNDARY:
        # One character less at the end, so that the next place found is further left.
        place = within.rfind(wanted, 0, place + len(wanted) - 1)
    return place if place >= 0 else start


def _scattered(wanted: str, within: str) -> tuple[int, ...]:
    """Find the letters' places from the end: what is typed is mostly the name at the end of a path."""
    places: list[int] = []
    end = len(within)
    for letter in reversed(wanted):
        end = within.rfind(letter, 0, end)
        if end < 0:
            return ()
        places.append(end)
    return tuple(reversed(places))
