"""Deliveries are applied once, in their order; one that breaks us holds up no other."""

import json
from datetime import timedelta
from typing import Any

import pytest

from andon.loops import apply_deliveries
from andon.loops.leadership import LEADER
from andon.model.job_states import JobStatus
from andon.store import deliveries, fleet_views, leases
from andon.store.database import Unavailable
from andon.store.leases import Fenced
from tests.support.builders import LABELS


def body(job_id: int, status: str = "queued") -> bytes:
    job = {
        "id": job_id,
        "run_id": 1,
        "name": "build",
        "status": status,
        "head_sha": "a",
        "created_at": "2026-01-01T00:00:00Z",
        "started_at": "2026-01-01T00:00:00Z",
        "labels": list(LABELS),
    }
    repository = {"id": 1, "full_name": "acme/app"}
    return json.dumps({"action": status, "workflow_job": job, "repository": repository}).encode()


async def keep(world: Any, guid: str, content: bytes, event: str = "workflow_job") -> None:
    await world.store.write(lambda tx: deliveries.keep(tx, guid=guid, event=event, action=None, body=content))


async def states(world: Any) -> dict[str, tuple[str, str | None]]:
    views = await world.store.read(lambda connection: fleet_views.delivery_views(connection, 100))
    return {view.guid: (view.state, view.reason) for _, view in views}


def test_each_delivery_ends_applied_or_ignored_with_one_reason(play: Any) -> None:
    async def story(world: Any) -> None:
        await keep(world, "a", body(1))
        await keep(world, "b", body(1))
        await keep(world, "c", body(2).replace(b"self-hosted", b"ubuntu").replace(b'"linux"', b'"latest"'))
        await keep(world, "d", b"{}", event="push")
        await keep(world, "e", b"[1]")
        await world.deliver()
        assert await states(world) == {
            "a": ("applied", "changed"),
            "b": ("applied", "nothing_new"),
            "c": ("ignored", "not_our_label"),
            "d": ("ignored", "event_not_used"),
            "e": ("ignored", "not_understood"),
        }
        counted = [labels["reason"] for name, labels in world.counted if name == "andon_deliveries_total"]
        assert counted == ["changed", "nothing_new", "not_our_label", "event_not_used", "not_understood"]

    play(story)


def test_a_delivery_that_breaks_us_is_put_aside_and_holds_up_no_other(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    working = apply_deliveries.apply_job_news

    def broken(tx: Any, news: Any, config: Any) -> Any:
        if news.id == 1:
            raise RuntimeError("a bug of ours")
        return working(tx, news, config)

    monkeypatch.setattr(apply_deliveries, "apply_job_news", broken)

    async def story(world: Any) -> None:
        await keep(world, "poison", body(1))
        await keep(world, "good", body(2))
        for _ in range(deliveries.MAX_ATTEMPTS):
            await world.deliver()
        assert set(world.log.faults) == {"delivery.failed"}
        world.log.faults.clear()
        assert (await world.job(2)).status is JobStatus.QUEUED
        state, reason = (await states(world))["poison"]
        assert state == "failed" and reason is not None and "a bug of ours" in reason
        monkeypatch.setattr(apply_deliveries, "apply_job_news", working)
        await keep(world, "poison", body(1))
        await world.deliver()
        assert (await world.job(1)).status is JobStatus.QUEUED, "a redelivery after our own failure is applied"

    play(story)


def test_a_leader_that_was_replaced_while_it_slept_claims_nothing(play: Any) -> None:
    async def story(world: Any) -> None:
        (job,) = world.run("build")
        await world.sweep()
        lasts = timedelta(minutes=5)
        await world.store.write(lambda tx: leases.take(tx, LEADER, "somebody-else", lasts=lasts, alone=True))
        with pytest.raises(Fenced):
            await world.dispatch()
        assert await world.claim_of(job) is None

    play(story)


def test_a_database_that_is_away_is_no_fault_of_a_delivery(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the journal's disk is full, and a small update elsewhere still fits."""
    working = apply_deliveries.apply_job_news

    def full(tx: Any, news: Any, config: Any) -> Any:
        raise Unavailable("no space left")

    async def story(world: Any) -> None:
        await keep(world, "waits", body(1))
        monkeypatch.setattr(apply_deliveries, "apply_job_news", full)
        for _ in range(deliveries.MAX_ATTEMPTS + 1):
            with pytest.raises(Unavailable):
                await world.deliver()
        assert (await states(world))["waits"][0] == "stored"
        monkeypatch.setattr(apply_deliveries, "apply_job_news", working)
        await world.deliver()
        assert (await states(world))["waits"][0] == "applied"

    play(story)
