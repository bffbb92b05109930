"""Rules: a test each, whose failure names the rule, what it saw, and the page that explains it.

`rule` turns a method of the suite into such a test. It opens the provider, so that a provider is
entered and left in one task, and it makes of every exception of the provider a broken rule.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from vk.testing.contract.base import Base
    from vk.testing.contract.bench import Bench

__all__ = ["PAGE", "Broken", "require", "rule"]

PAGE = "docs/reference/contract.md"

Suite = TypeVar("Suite", bound="Base")


class Broken(AssertionError):
    """The rule does not hold; the text says what was seen."""


def require(holds: object, saw: str) -> None:
    """Raise Broken with what was seen unless ``holds``."""
    if not holds:
        raise Broken(saw)


def rule(
    test: Callable[[Suite, Bench], Awaitable[None]],
) -> Callable[[Suite, Any], Awaitable[None]]:
    """Make a test of a rule: its name is the rule's, its docstring the promise."""
    name = test.__name__.removeprefix("test_")
    promise = " ".join(inspect.cleandoc(test.__doc__ or "").split("\n\n")[0].split())

    def text(saw: str) -> str:
        shown = name.replace("_", " ")
        page = f"{PAGE}#{name.replace('_', '-')}"
        return f"rule broken: {shown}\n  promise: {promise}\n  saw: {saw}\n  explained in: {page}"

    @wraps(test)
    async def run(self: Suite, provider_config: Any) -> None:
        __tracebackhide__ = True
        try:
            async with self.bench(provider_config) as bench:
                await test(self, bench)
        except Broken as broken:
            raise AssertionError(text(str(broken))) from None
        except Exception as error:  # foreign code: anything may come
            raise AssertionError(text(f"{type(error).__name__}: {error}")) from error

    del run.__wrapped__  # pytest reads the arguments of what is wrapped
    return run
