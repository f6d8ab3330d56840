"""Units of rows that can only be written together."""

from hypothesis import given
from hypothesis import strategies as st

from bulkport.imports.writing.cycles import units_of


def test_cycles_are_units_and_parents_come_first() -> None:
    parents = [[1], [2], [0], [0], [], [4], [5, 3]]
    assert units_of(parents, ()) == [[0, 1, 2], [3, 4, 5, 6]]
    assert units_of(parents, {3, 6}) == [[0, 1, 2], [4, 5]]


@given(st.lists(st.lists(st.integers(0, 11), max_size=3), min_size=12, max_size=12))
def test_a_unit_contains_rows_that_reach_each_other(parents: list[list[int]]) -> None:
    def reached(row: int) -> set[int]:
        found: set[int] = set()
        left = [row]
        while left:
            for parent in parents[left.pop()]:
                if parent not in found:
                    found.add(parent)
                    left.append(parent)
        return found

    units = units_of(parents, ())
    assert sorted(row for unit in units for row in unit) == list(range(12))
    written: set[int] = set()
    for unit in units:
        together = len(unit) > 1 and unit[0] in reached(unit[0]) and set(unit) <= reached(unit[0])
        for row in unit:
            if not together:
                assert set(parents[row]) - {row} <= written
                written.add(row)
        if together:
            written |= set(unit)
            assert {parent for row in unit for parent in parents[row]} <= written
