"""Asking again for what has not changed: the same answer, at no cost, and never another token's."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
from hypothesis import given
from hypothesis import strategies as st

from andon.github.call import Priority
from andon.github.etags import Etags, KeptKey
from andon.github.grant import Caller, Grant
from andon.github.outcomes import Failed, Got
from andon.github.scope import repository_scope
from tests.github.peer import Peer, quota, reply

RUNS = {"total_count": 1, "workflow_runs": [{"id": 1, "event": "push"}]}


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def key(url: str = "/x", generation: int = 0, account: str = "token", page: str = "1") -> KeptKey:
    return KeptKey(account=account, generation=generation, url=url, query=(("page", page),))


def body(size: int, etag: str = '"e"') -> Got:
    return Got(body=b"x" * size, at=None, headers={"etag": etag})


class Rotating:
    """A credential whose token changes when it is told to."""

    def __init__(self) -> None:
        self.generation = 0

    async def token_for(self, owner: str | None, caller: Caller) -> Grant | Failed:
        return Grant(token=f"t{self.generation}", account="installation 1", generation=self.generation)

    def rejected(self, grant: Grant) -> bool:
        return False


def test_a_list_that_did_not_change_costs_nothing_and_says_so() -> None:
    async def story() -> None:
        peer = Peer(reply())
        window = quota(1000, 900, peer.clock.now() + timedelta(hours=1))
        peer.answers = [reply(200, RUNS, etag='"one"', **window), reply(304, etag='"one"', **window)]
        first = await peer.github.runs("acme/app", "queued")
        again = await peer.github.runs("acme/app", "queued")
        assert not isinstance(first, Failed) and not isinstance(again, Failed)
        assert (first.not_modified, again.not_modified) == (False, True)
        assert again.runs == first.runs
        assert peer.asked[1].headers["if-none-match"] == '"one"'
        assert "if-none-match" not in peer.asked[0].headers
        (view,) = peer.github.budgets()
        assert (view.used, view.remaining) == (1, 900)

    run(story())


def test_the_time_of_an_unchanged_answer_is_githubs_now() -> None:
    async def story() -> None:
        peer = Peer(
            reply(200, RUNS, etag='"one"', date="Sun, 22 Nov 2026 10:00:00 GMT"),
            reply(304, date="Sun, 22 Nov 2026 10:05:00 GMT"),
        )
        await peer.github.runs("acme/app", "queued")
        again = await peer.github.runs("acme/app", "queued")
        assert not isinstance(again, Failed) and again.at == datetime(2026, 11, 22, 10, 5, tzinfo=UTC)

    run(story())


def test_a_changed_page_makes_the_list_changed() -> None:
    async def story() -> None:
        def page(request: httpx2.Request) -> httpx2.Response:
            number = int(request.url.params["page"])
            tag = f'"{number}-{versions[0] if number == 2 else 0}"'
            if request.headers.get("if-none-match") == tag:
                return reply(304, etag=tag)
            count = 100 if number == 1 else 1
            runners = [{"id": number * 1000 + each, "name": f"r{each}"} for each in range(count)]
            link = {"link": f'<{request.url}>; rel="next"'} if number == 1 else {}
            return reply(200, {"total_count": 101, "runners": runners}, etag=tag, **link)

        versions = [1, 1, 2, 2]
        peer = Peer(page)
        scope = repository_scope("acme/app")
        seen: list[bool] = []
        while versions:
            listed = await peer.github.list_runners(scope)
            assert not isinstance(listed, Failed) and len(listed.items) == 101
            seen.append(listed.not_modified)
            versions.pop(0)
        assert seen == [False, True, False, True]

    run(story())


def test_another_token_asks_without_the_old_ones_etag() -> None:
    async def story() -> None:
        credentials = Rotating()
        peer = Peer(reply(200, RUNS, etag='"one"'), credentials=credentials)
        await peer.github.runs("acme/app", "queued")
        credentials.generation += 1
        await peer.github.runs("acme/app", "queued")
        assert "if-none-match" not in peer.asked[1].headers
        await peer.github.runs("acme/app", "queued")
        assert peer.asked[2].headers["if-none-match"] == '"one"'

    run(story())


def test_a_304_that_nobody_asked_for_is_out_of_contract() -> None:
    async def story() -> None:
        peer = Peer(reply(304))
        assert isinstance(await peer.github.runs("acme/app", "queued", priority=Priority.ACT), Failed)

    run(story())


def test_a_failure_is_not_kept() -> None:
    async def story() -> None:
        peer = Peer(reply(502, {}, etag='"bad"'), reply(200, RUNS))
        await peer.github.runs("acme/app", "queued")
        await peer.github.runs("acme/app", "queued")
        assert "if-none-match" not in peer.asked[1].headers

    run(story())


def test_what_was_kept_under_an_older_token_is_dropped() -> None:
    kept = Etags()
    kept.keep(key(), body(10))
    kept.keep(key(account="other"), body(10))
    assert kept.find(key(generation=1)) is None
    assert (len(kept), kept.size) == (1, 10)
    kept.keep(key(generation=0), body(10))
    assert kept.find(key(generation=0)) is None, "an answer of the old token that came late"


def test_the_one_asked_for_longest_ago_goes_first() -> None:
    kept = Etags(entries=2)
    kept.keep(key("/a"), body(1))
    kept.keep(key("/b"), body(1))
    assert kept.find(key("/a")) is not None
    kept.keep(key("/c"), body(1))
    assert kept.find(key("/b")) is None and kept.find(key("/a")) is not None


def test_large_answers_push_out_others_before_there_are_many() -> None:
    kept = Etags(entries=100, size=1000)
    for each in range(10):
        kept.keep(key(f"/{each}"), body(250))
        assert kept.size <= 1000
    assert len(kept) == 4


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 400), st.integers(0, 3)), max_size=100))
def test_the_store_stays_bounded_and_counts_right(steps: list[tuple[int, int, int]]) -> None:
    kept, generation = Etags(entries=5, size=1000), 0
    for url, size, turn in steps:
        generation += turn == 0
        kept.keep(key(f"/{url}", generation), body(size))
        assert len(kept) <= 5 and kept.size <= 1000
        found = kept.find(key(f"/{url}", generation))
        assert (found is None) == (size > 250)
        assert kept.size == sum(len(got.body) for _, got in kept._kept.values())  # pyright: ignore[reportPrivateUsage]


def test_an_answer_that_was_cut_is_not_kept() -> None:
    async def story() -> None:
        peer = Peer(reply())
        whole = json.dumps(RUNS).encode()
        peer.answers = [reply(200, whole[:-9], etag='"one"'), reply(200, RUNS, etag='"one"')]
        assert isinstance(await peer.github.runs("acme/app", "queued"), Failed)
        assert not isinstance(await peer.github.runs("acme/app", "queued"), Failed)
        assert "if-none-match" not in peer.asked[1].headers, "GitHub would say that nothing changed, for ever"

    run(story())
