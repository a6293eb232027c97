"""Things with sensible defaults, so that a test names only what it is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from andon.model.claim_states import ClaimState
from andon.model.config import Config, Owner, Pool
from andon.model.job_states import JobStatus
from andon.model.news import JobNews, RunNews
from andon.model.nouns import Claim
from andon.model.wire import EndReport, SlotReport, SlotState, SyncRequest

START = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = ("self-hosted", "linux")


def at(seconds: float) -> datetime:
    """So many seconds after the start of the virtual clock."""
    return START + timedelta(seconds=seconds)


def a_pool(**changes: Any) -> Pool:
    return Pool(**{"name": "linux", "labels": LABELS, "trust": "any", **changes})


def a_config(**changes: Any) -> Config:
    return Config(**{"pool": (a_pool(),), "owner": (Owner(login="acme"),), **changes})


def job_news(job_id: int = 1, status: str = "queued", **changes: Any) -> JobNews:
    defaults: dict[str, Any] = {
        "id": job_id,
        "repository": "acme/app",
        "run_id": 10,
        "attempt": 1,
        "name": f"job {job_id}",
        "workflow": "ci",
        "branch": "main",
        "sha": "a" * 40,
        "labels": LABELS,
        "status": JobStatus(status),
        "conclusion": "success" if status == "completed" else None,
        "created_at": START,
        "started_at": START if status in ("queued", "waiting", "pending") else at(5),
        "completed_at": at(9) if status == "completed" else None,
        "runner_id": None,
        "runner_name": None,
        "order_at": at(1),
        "source": "webhook:test",
    }
    return JobNews(**{**defaults, **changes})


def run_news(run_id: int = 10, **changes: Any) -> RunNews:
    defaults: dict[str, Any] = {
        "id": run_id,
        "attempt": 1,
        "repository": "acme/app",
        "workflow": "ci",
        "event": "push",
        "branch": "main",
        "sha": "a" * 40,
        "status": "queued",
        "conclusion": None,
        "fork": False,
        "source": "webhook:test",
    }
    return RunNews(**{**defaults, **changes})


def a_claim(claim_id: str = "clm_1", **changes: Any) -> Claim:
    defaults: dict[str, Any] = {
        "id": claim_id,
        "job_id": 1,
        "owner": "acme",
        "repository": "acme/app",
        "pool": "linux",
        "host": "host-a",
        "slot": 0,
        "state": ClaimState.RESERVED,
        "generation": 1,
        "runner_name": f"andon-f-{claim_id}",
        "runner_id": None,
        "created_at": START,
        "since": START,
        "deadline": at(30),
        "reason": None,
        "ended_at": None,
        "exit": None,
        "signal": None,
        "tail": None,
    }
    return Claim(**{**defaults, **changes})


def a_report(slots: tuple[SlotReport, ...] | None = None, **changes: Any) -> SyncRequest:
    defaults: dict[str, Any] = {
        "host": "host-a",
        "boot_id": "boot-1",
        "seq": 1,
        "agent_version": "1",
        "slots": slots,
    }
    return SyncRequest(**{**defaults, **changes})


def idle(slot: int, pool: str = "linux") -> SlotReport:
    return SlotReport(slot=slot, pool=pool, state=SlotState.IDLE)


def slot_of(claim: Claim, state: SlotState) -> SlotReport:
    return SlotReport(
        slot=claim.slot,
        pool=claim.pool,
        state=state,
        claim=claim.id,
        generation=claim.generation,
        runner=claim.runner_name,
    )


def the_end(claim: Claim, **changes: Any) -> EndReport:
    return EndReport(**{"claim": claim.id, "generation": claim.generation, "exit": 0, "at": at(60), **changes})
