"""Judges the versions of the runner program: the day each stops getting jobs is told 14 days ahead (R45)."""

from datetime import date, datetime, timedelta

import msgspec

from andon.rules.doctor_finding import Check, Finding, Severity, judged, skipped

AHEAD = timedelta(days=14)


class RunnerVersionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One version, and who was seen with it."""

    version: str
    runners: tuple[str, ...]
    no_jobs_from: date | None = None
    no_registration_from: date | None = None
    known: bool = True
    """False: GitHub says nothing of this version."""
    said: str = ""
    """Why GitHub could not be asked of it; empty: it was."""


def judge_runner_versions(found: tuple[RunnerVersionFacts, ...], now: datetime, *, partly: str | None = None) -> Check:
    """Whether each version will still get jobs, and be registered, in 14 days. `partly`: who could not be listed."""
    if not found and partly is None:
        return skipped("runner program", "no runner with a version is registered now")
    findings: list[Finding] = []
    for one in found:
        ends = [
            (end, words)
            for end, words in (
                (one.no_jobs_from, "gets no jobs"),
                (one.no_registration_from, "cannot be registered"),
            )
            if end is not None
        ]
        near = [(day, words) for day, words in ends if day - now.date() <= AHEAD]
        for day, words in sorted(near):
            past = day <= now.date()
            when = f"{'since' if past else 'from'} {day.isoformat()}"
            who = one.runners[0] if len(one.runners) == 1 else f"{one.runners[0]} and {len(one.runners) - 1} more"
            findings.append(
                Finding(
                    id="runner.version",
                    severity=Severity.PROBLEM if past else Severity.WARNING,
                    what=f"Runner version {one.version} ({who}) {words} {when}.",
                    do="Install the newest runner program in the folder that the slots' command names.",
                )
            )
    not_asked = [one for one in found if one.said]
    if not_asked and partly is None:
        partly = f"until when {not_asked[0].version} is served could not be asked ({not_asked[0].said})"
    # A server of one's own may say nothing of any version: that is no failed look.
    untold = [one.version for one in found if not one.known and not one.said]
    caveat = f"GitHub does not say until when {untold[0]} is served" if untold else None
    note = ", ".join(one.version for one in found) or "no version was seen"
    return judged("runner program", note, findings, partly=partly, caveat=caveat)
