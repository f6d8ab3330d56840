"""Cycles of rows that reference each other: they must be written together, all other rows one by one."""

from collections.abc import Collection, Sequence


def units_of(parents: Sequence[Sequence[int]], left_out: Collection[int]) -> list[list[int]]:
    """Rows in units that are written together, parents first.

    A unit of several rows that refer to each other is a strongly connected component (Tarjan 1972, without recursion);
    the other rows between two such units are one unit.

    Parameters
    ----------
    parents:
        For each row the rows that it refers to.
    left_out:
        Rows that are not to be written.
    """
    units: list[list[int]] = []
    alone: list[int] = []
    for component in _components(parents, left_out):
        if len(component) == 1:
            alone += component
            continue
        if alone:
            units.append(alone)
            alone = []
        units.append(sorted(component))
    return [*units, alone] if alone else units


def _components(parents: Sequence[Sequence[int]], left_out: Collection[int]) -> list[list[int]]:
    found: list[list[int]] = []
    number: dict[int, int] = {}
    lowest: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    for root in range(len(parents)):
        if root in number or root in left_out:
            continue
        path = [(root, iter(parents[root]))]
        number[root] = lowest[root] = len(number)
        stack.append(root)
        on_stack.add(root)
        while path:
            row, rest = path[-1]
            for parent in rest:
                if parent in left_out:
                    continue
                if parent not in number:
                    number[parent] = lowest[parent] = len(number)
                    stack.append(parent)
                    on_stack.add(parent)
                    path.append((parent, iter(parents[parent])))
                    break
                if parent in on_stack:
                    lowest[row] = min(lowest[row], number[parent])
            else:
                path.pop()
                if path:
                    child = path[-1][0]
                    lowest[child] = min(lowest[child], lowest[row])
                if lowest[row] == number[row]:
                    component: list[int] = []
                    while not component or component[-1] != row:
                        component.append(stack.pop())
                        on_stack.discard(component[-1])
                    found.append(component)
    return found
