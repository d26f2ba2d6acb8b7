"""ctrl-C wherever it falls."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Coroutine

import pytest
import trio

from store import interrupt


async def asleep() -> None:
    await trio.sleep_forever()


def test_what_it_returns_and_raises_is_the_function_s() -> None:
    async def answer(number: int) -> int:
        await trio.lowlevel.checkpoint()
        return 1 // number

    assert interrupt.run(answer, 1) == 1
    with pytest.raises(ZeroDivisionError):
        interrupt.run(answer, 0)


def test_it_never_falls_between_a_task_s_making_and_its_start() -> None:
    """There it would leave a coroutine that nobody awaits, and Python complains of that at the end."""

    def interrupted() -> Coroutine[object, object, None]:
        made = asleep()
        signal.raise_signal(signal.SIGINT)
        return made

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interrupted)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(KeyboardInterrupt):
            interrupt.run(main)


def test_another_error_beside_it_is_not_lost() -> None:
    async def fail_in_the_end() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("of the clearing up")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_in_the_end)
            await trio.lowlevel.checkpoint()
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()

    with pytest.RaisesGroup(KeyboardInterrupt, ValueError):
        interrupt.run(main)


def test_until_a_command_is_ready_ctrl_c_ends_it_and_ignored_it_stays_ignored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = []

    def main() -> int:
        seen.append(signal.getsignal(signal.SIGINT))
        interrupt.is_raised()
        signal.raise_signal(signal.SIGINT)
        return 0

    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        assert interrupt.command("it", main, 7) == 7
        assert capsys.readouterr().err == "it: interrupted\n"
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        assert interrupt.command("it", main, 7) == 0
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [signal.SIG_DFL, signal.SIG_IGN]
