"""Worlds: time, tasks, timers, services and the order in which things happen."""

import copy
from datetime import timedelta

import pytest

from ikesim.pki.fetching import FetchKind, FetchRequest
from ikesim.sim import EPOCH, Answer, SimulationError, World
from ikesim.wire.address import Path
from tests.sim.fakes import A, B, Counting, core, host, two

CRL = "http://crl.north.example/north.crl"


def test_time_jumps_to_the_next_deadline_and_a_timer_is_never_fired_early() -> None:
    world = two(count=3, period=2.5)
    world.run_until(7.0)
    assert core(world, "a").advanced == [2.5, 5.0]
    assert world.now == 7.0
    world.run_until(7.4999)
    assert core(world, "a").advanced == [2.5, 5.0]
    world.run_until(7.5)
    assert core(world, "a").advanced == [2.5, 5.0, 7.5]


def test_a_deadline_in_the_past_fires_now_and_time_does_not_go_back() -> None:
    world = two()
    world.run_until(10.0)
    late = core(world, "a")
    late.period, late.left, late.deadline = 3.0, 1, 4.0
    world.step()
    assert (late.advanced, world.now) == ([10.0], 10.0)
    world.run_until(2.0)
    assert world.now == 10.0


def test_a_timer_that_never_moves_on_is_reported_instead_of_hanging() -> None:
    world = two("stuck")
    stuck = core(world, "a")
    stuck.deadline = 1.0  # without a period advance() leaves it as it is
    with pytest.raises(SimulationError, match=r"no time passed\nseed 'stuck', virtual time 1\.0"):
        world.run_until(5.0)


def test_at_one_instant_arrivals_come_before_tasks_and_tasks_before_timers() -> None:
    world = two(delay=1.0)
    order: list[str] = []
    timed = core(world, "b")
    timed.period, timed.left, timed.deadline = 1.0, 1, 1.0
    world.at(1.0, lambda world: order.append(f"task, {len(core(world, 'b').received)} arrived"))
    world.at(1.0, lambda world: order.append(f"second task, {len(timed.advanced)} timers"))
    world.send(b"x", Path(A, B))
    world.run_until(1.0)
    assert order == ["task, 1 arrived", "second task, 0 timers"]
    assert timed.advanced == [1.0]


def test_a_condition_that_never_holds_tells_the_whole_story() -> None:
    world = two("told", count=1, period=1.0, loss=1.0)
    core(world, "b").ready()
    world.hosts["b"].drain()
    with pytest.raises(SimulationError) as caught:
        world.run_until(lambda: core(world, "b").received)
    assert str(caught.value) == (
        "the condition did not hold within 3600 virtual seconds\n"
        "seed 'told', virtual time 1.000000\n"
        "datagrams:\n"
        "#1 t=1.000000 192.0.2.1:500 -> 192.0.2.2:500 1 octets: dropped: loss\n"
        "events of a:\n"
        "  none\n"
        "events of b:\n"
        "  2026-01-01T00:00:00Z Ready listen=[] listen_nat_t=[]"
    )


def test_what_leaves_an_endpoint_is_handed_on_in_its_order() -> None:
    """The answer to an inner packet is the endpoint's next word: it leaves after what was waiting already."""

    class Echo:
        def receive(self, packet: bytes) -> bytes | None:
            return b"reply to " + packet if packet.startswith(b"ask") else None

    world = World(1)
    asked = host(world, "a", Counting(A, B), Echo())
    host(world, "b", Counting(B, A))
    endpoint = core(world, "a")
    endpoint.say(b"one")
    endpoint.inner(b"ask")
    endpoint.say(b"two")
    endpoint.inner(b"silent")
    asked.drain()
    world.settle()
    assert [octets for _, octets, _ in core(world, "b").received] == [b"one", b"two", b"reply to ask"]
    assert asked.inner_received == [b"ask", b"silent"]


def test_answers_go_back_where_the_request_came_from() -> None:
    world = two()
    world.send(b"?who", Path(A, B))
    world.settle()
    assert core(world, "b").received == [(0.01, b"?who", Path(B, A))]
    assert core(world, "a").received == [(0.02, b"!who", Path(A, B))]


def test_a_host_that_is_off_hears_nothing_and_its_timers_rest() -> None:
    world = two(count=3, period=1.0)
    world.hosts["b"].alive = False
    world.run_until(1.5)
    world.hosts["a"].alive = False
    world.run_until(60.0)
    assert core(world, "b").received == []
    assert core(world, "a").advanced == [1.0]
    assert "lost at 1.010000 (b is off)" in world.network.fates()


def request(url: str = CRL, **limits: object) -> FetchRequest:
    return FetchRequest(FetchKind.CRL, url, **limits)  # type: ignore[arg-type] # limits by name


@pytest.mark.parametrize(
    ("url", "limits", "seconds", "body", "error", "refused"),
    [
        (CRL, {}, 3.0, b"crl at 12:00:05", "", False),
        (CRL, {"timeout": 2.0}, 2.0, None, "no answer within 2 s", False),
        (CRL, {"max_octets": 5}, 3.0, None, "larger than 5 octets", True),
        ("http://ocsp.north.example/MEow", {}, 0.02, b"below", "", False),
        ("http://down.example/x", {}, 0.02, None, "connection refused", False),
        ("http://gone.example/x", {}, 0.02, None, "HTTP status 404", False),
        ("https://crl.north.example/north.crl", {}, 0.0, None, "https is not fetched, only http", True),
        ("http://127.0.0.1/north.crl", {}, 0.0, None, "127.0.0.1 is not a public address", True),
        ("http://[fe80::1]/north.crl", {}, 0.0, None, "fe80::1 is not a public address", True),
        ("http://127.0.0.1/north.crl", {"operator": True}, 0.02, b"local", "", False),
    ],
)
def test_a_fetch_ends_after_its_virtual_delay(
    url: str, limits: dict[str, object], seconds: float, body: bytes | None, error: str, refused: bool
) -> None:
    world = two()
    world.services[CRL] = lambda request, now: Answer(f"crl at {now:%H:%M:%S}".encode(), delay=3.0)
    world.services["http://ocsp.north.example"] = lambda request, now: b"below"
    world.services["http://gone.example/x"] = lambda request, now: Answer(b"not found", status=404)
    world.services["http://127.0.0.1/north.crl"] = lambda request, now: b"local"
    world.run_until(5.0)
    core(world, "a").fetch(7, request(url, **limits))
    world.hosts["a"].drain()
    assert core(world, "a").results == []
    world.settle()
    ((now, fetch, result),) = core(world, "a").results
    assert (round(now - 5.0, 6), fetch) == (seconds, 7)
    assert (result.body, result.error, result.refused) == (body, error, refused)
    assert result.at == EPOCH + timedelta(seconds=5.0 + seconds)
    assert world.hosts["a"].fetched_urls == [url]


def test_a_copied_world_goes_its_own_way_and_comes_to_the_same_end() -> None:
    world = two("copied", count=20, period=0.1, loss=0.3, duplicate=0.2, jitter=0.3)
    world.services[CRL] = lambda request, now: Answer(b"crl", delay=1.0)
    world.at(1.5, lambda world: core(world, "b").say(b"from a task"))
    world.run_until(0.75)
    core(world, "a").fetch(1, request())
    world.hosts["a"].drain()
    twin = copy.deepcopy(world)
    before = world.report()
    twin.run_until(60.0)
    assert world.report() == before
    assert core(world, "a").results == []
    world.run_until(60.0)
    assert twin.report() == world.report()
    assert core(twin, "b").received == core(world, "b").received
    assert len(core(twin, "a").results) == 1
    assert twin.hosts["a"].ports.hooks is not world.hosts["a"].ports.hooks


def test_chosen_delivery_order() -> None:
    world = two(count=3, period=0.001)
    world.run_until(0.004)
    first, second, third = world.network.under_way()
    for arrival in (third, first, second):
        world.deliver(arrival)
    assert [octets for _, octets, _ in core(world, "b").received] == [b"3", b"1", b"2"]
    assert world.network.under_way() == ()
    with pytest.raises(ValueError, match="not in list"):
        world.deliver(first)


def test_names_and_sockets_are_taken_once() -> None:
    world = two()
    with pytest.raises(ValueError, match="already is a host 'a'"):
        host(world, "a", Counting(A, B))
    with pytest.raises(ValueError, match=r"a already listens on 192\.0\.2\.1:500"):
        host(world, "c", Counting(A, B))


def test_a_wrong_clock_is_a_property_of_its_host() -> None:
    world = two()
    world.run_until(60.0)
    world.hosts["a"].set_clock(-86400.0)
    assert world.hosts["a"].ports.wall(world.now) == EPOCH + timedelta(minutes=1, days=-1)
    assert world.hosts["b"].ports.wall(world.now) == EPOCH + timedelta(minutes=1)


def test_a_long_report_shows_the_end() -> None:
    world = two(count=250, period=1.0)
    world.run_until(300.0)
    lines = world.report().splitlines()
    assert lines[2] == "(50 earlier ones)"
    assert lines[3].startswith("#51 ")
    assert lines[202].startswith("#250 ")
    assert lines[203] == "events of a:"
