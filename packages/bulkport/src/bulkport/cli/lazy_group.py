"""Command groups that import their module on first use, so that `--help` and other commands start fast."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import typer
from typer.core import TyperGroup


def lazy_group(load: Callable[[], typer.Typer], *, help_text: str) -> typer.Typer:
    """A Typer application that stands in for the one that `load` imports, with its help text."""

    class LazyGroup(TyperGroup):
        @cached_property
        def _loaded(self) -> Any:
            return typer.main.get_group(load())

        @property
        def commands(self) -> Any:
            return self._loaded.commands

        @commands.setter
        def commands(self, _of_the_placeholder: object) -> None:
            pass

    return typer.Typer(cls=LazyGroup, no_args_is_help=True, help=help_text)
