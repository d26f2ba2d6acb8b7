import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from harness.sim.world import Future, SimulationError, World


def test_events_run_in_order_of_time_and_then_of_scheduling():
    world = World(0)
    ran: list[str] = []
    for time, name in [(20, "c"), (10, "a"), (20, "d"), (10, "b")]:
        world.at(time, ran.append, name)
    world.run_until(20)
    assert ran == ["a", "b", "c", "d"]


@given(st.lists(st.integers(0, 50)), st.integers(0, 60))
def test_exactly_the_events_up_to_the_limit_have_run(times, limit):
    world = World(0)
    ran: list[tuple[int, int]] = []
    for number, time in enumerate(times):
        world.at(time, lambda number=number: ran.append((world.now, number)))
    assert world.run_until(limit)
    assert world.now == limit
    assert ran == sorted((time, number) for number, time in enumerate(times) if time <= limit)


def test_an_event_in_the_past_runs_now():
    world = World(0)
    world.run_until(100)
    seen: list[int] = []
    world.at(5, lambda: seen.append(world.now))
    world.run_until(100)
    assert seen == [100]


def test_run_stops_after_the_instant_at_which_something_is_done():
    world = World(0)
    done: list[str] = []
    for time, name in [(10, "a"), (10, "b"), (11, "c")]:
        world.at(time, done.append, name)
    assert world.run_until(50, done)
    assert done == ["a", "b"]
    assert world.now == 10


def test_run_breaks_off_after_so_many_events_but_never_within_an_instant():
    world = World(0)
    ran: list[int] = []
    for time in (10, 20, 20, 20, 30):
        world.at(time, ran.append, time)
    assert not world.run_until(50, events_max=2)
    assert ran == [10, 20, 20, 20]
    assert world.run_until(50, events_max=2)
    assert ran == [10, 20, 20, 20, 30]


def test_waiting_for_ever_with_nothing_left_to_happen_is_an_error():
    with pytest.raises(SimulationError, match="no event is left"):
        World(0).run_until(None)


def test_streams_depend_on_seed_and_name_alone():
    def draws(seed: int, name: str) -> list[float]:
        rng = World(seed).random(name)
        return [rng.random() for _ in range(3)]

    assert draws(1, "disk") == draws(1, "disk")
    assert draws(1, "disk") != draws(2, "disk")
    assert draws(1, "disk") != draws(1, "network")
    assert draws(7, "disk") == [0.1294125472631833, 0.2478183406090919, 0.675829291235779]


def test_a_coroutine_sleeps_in_virtual_time():
    world = World(0)

    async def nap() -> int:
        await world.sleep(3_000)
        await world.sleep(0)
        return world.now

    assert world.complete(nap()) == 3_000


def test_coroutines_take_turns():
    world = World(0)
    log: list[tuple[int, str]] = []

    async def ticker(name: str, period: int) -> str:
        for _ in range(2):
            await world.sleep(period)
            log.append((world.now, name))
        return name

    done: list[str] = []
    world.spawn(ticker("slow", 20), done.append)
    world.spawn(ticker("fast", 15), done.append)
    world.run_until(100)
    assert log == [(15, "fast"), (20, "slow"), (30, "fast"), (40, "slow")]
    assert done == ["fast", "slow"]


def test_a_future_gives_its_first_value_or_error():
    world = World(0)

    async def wait(future: Future[str]) -> str:
        return await future

    future: Future[str] = Future(world)
    world.at(10, future.resolve, "first")
    world.at(11, future.resolve, "second")
    world.at(12, future.fail, ValueError("late"))
    assert world.complete(wait(future)) == "first"
    world.run_until(20)

    failing: Future[str] = Future(world)
    world.at(30, failing.fail, ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        world.complete(wait(failing))


def test_a_future_that_is_there_already_is_not_waited_for():
    world = World(0)
    future: Future[int] = Future(world)
    future.resolve(5)

    async def wait() -> int:
        return await future

    results: list[int] = []
    world.spawn(wait(), results.append)
    assert results == [5]
    assert world.events == 0


def test_two_coroutines_cannot_await_one_future():
    world = World(0)
    future: Future[int] = Future(world)

    async def wait() -> int:
        return await future

    world.spawn(wait(), print)
    with pytest.raises(SimulationError, match="one coroutine"):
        world.spawn(wait(), print)


def test_awaiting_trio_inside_the_simulation_is_a_clear_error():
    world = World(0)

    async def strays() -> None:
        await trio.sleep(1)

    async def main() -> None:
        with pytest.raises(SimulationError, match=r"strays awaits WaitTaskRescheduled.*no trio"):
            world.complete(strays())

    trio.run(main)


def test_a_coroutine_that_nothing_will_wake_is_a_clear_error():
    world = World(0)

    async def stuck() -> None:
        await Future(world)

    with pytest.raises(SimulationError, match=r"stuck waits for something that cannot come"):
        world.complete(stuck())


def test_an_exception_in_a_coroutine_ends_the_simulation():
    world = World(0)

    async def breaks() -> None:
        await world.sleep(5)
        raise LookupError("no such thing")

    world.spawn(breaks(), print)
    with pytest.raises(LookupError, match="no such thing"):
        world.run_until(10)
