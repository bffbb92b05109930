"""Answers are shared, kept for their time, and bounded in number."""

from __future__ import annotations

import asyncio

import pytest

from vk.aio.memo import Memo

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


class Question:
    """Answers after a second, and counts how often it is asked."""

    def __init__(self, answer: int = 7) -> None:
        self.answer, self.asked, self.cancelled = answer, 0, False

    async def ask(self) -> int:
        self.asked += 1
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return self.answer


async def test_who_asks_together_shares_one_answer() -> None:
    memo: Memo[str, int] = Memo(lambda answer: 10.0)
    question = Question()
    assert await asyncio.gather(*(memo.get("k", question.ask) for _ in range(5))) == [7] * 5
    assert question.asked == 1


async def test_an_answer_holds_for_its_time() -> None:
    memo: Memo[str, int] = Memo(lambda answer: 10.0)
    question = Question()
    await memo.get("k", question.ask)
    await asyncio.sleep(9)
    await memo.get("k", question.ask)
    assert question.asked == 1
    await asyncio.sleep(2)
    assert memo.peek("k") is None
    await memo.get("k", question.ask)
    assert question.asked == 2


async def test_an_error_goes_to_all_and_is_not_kept() -> None:
    memo: Memo[str, int] = Memo(lambda answer: 10.0)
    failures = 0

    async def fail() -> int:
        nonlocal failures
        failures += 1
        await asyncio.sleep(1)
        raise OSError("away")

    found = await asyncio.gather(*(memo.get("k", fail) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [OSError] * 3
    with pytest.raises(OSError, match="away"):
        await memo.get("k", fail)
    assert failures == 2


async def test_one_who_leaves_does_not_end_the_question_of_the_others() -> None:
    memo: Memo[str, int] = Memo(lambda answer: 10.0)
    question = Question()
    first = asyncio.create_task(memo.get("k", question.ask))
    second = asyncio.create_task(memo.get("k", question.ask))
    await asyncio.sleep(0.5)
    first.cancel()
    assert await second == 7
    assert (question.asked, question.cancelled) == (1, False)


async def test_only_so_many_are_kept() -> None:
    """Those go that were asked for the longest time ago."""
    memo: Memo[int, int] = Memo(lambda answer: 100.0, 3)
    for key in range(3):
        await memo.get(key, Question(key).ask)
    memo.peek(0)
    await memo.get(3, Question(3).ask)
    assert (len(memo), memo.peek(0), memo.peek(1)) == (3, 0, None)


async def test_closing_ends_what_is_under_way() -> None:
    memo: Memo[str, int] = Memo(lambda answer: 10.0)
    question = Question()
    waiting = asyncio.create_task(memo.get("k", question.ask))
    await asyncio.sleep(0.5)
    await memo.close()
    assert question.cancelled
    with pytest.raises(asyncio.CancelledError):
        await waiting
