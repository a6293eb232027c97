"""A compile cache that throws away what it keeps, as an incident (R55, incidents.md P7).

Opened and closed by the two numbers that nobody compared: what a cache holds against its cap, and its hits against
its look-ups. A silent host says nothing new: what is open stays, nothing opens (law 4).
"""

from collections.abc import Iterable

from andon.model.caches import CacheReport
from andon.model.incident_kinds import IncidentCode
from andon.model.nouns import KeptDisk
from andon.rules.cache_health import hit_rate, is_thrashing, is_well_again
from andon.rules.disk_incidents import DiskSituation, host_of
from andon.rules.liveness_fleet import Finding
from andon.rules.size_words import size

SUBJECT = "cache"
"""The kind of subject; its id is `HOST:PROGRAM/OWNER/USER`, and no host's name has a colon."""


def cache_findings(at: DiskSituation) -> tuple[Finding, ...]:
    """Every cache of a host that reports that stands at its cap and is hardly hit."""
    return tuple(
        _finding(host, cache) for host, cache in _caches(at.disks) if host in at.reporting and is_thrashing(cache)
    )


def cache_cleared(subject_id: str, at: DiskSituation) -> str | None:
    """What shows that it is over; None: nothing does."""
    host = host_of(subject_id)
    if host not in at.known:
        return "the host was taken away"
    if host not in at.reporting:
        return None
    cache = next((cache for name, cache in _caches(at.disks) if _id(name, cache) == subject_id), None)
    if cache is None:
        return "the host tells of this cache no more"
    return f"it holds {size(cache.size)} of {size(cache.cap)}, {rate_words(cache)}" if is_well_again(cache) else None


def rate_words(cache: CacheReport) -> str:
    """Its hits among its look-ups, for people."""
    asked, rate = cache.hits + cache.misses, hit_rate(cache)
    if rate is None:
        return f"{asked:,} look-ups, too few for a rate"
    return f"{100 * rate:.0f} % hits of {asked:,} look-ups"


def _caches(disks: Iterable[KeptDisk]) -> Iterable[tuple[str, CacheReport]]:
    return ((disk.host, cache) for disk in disks for cache in disk.caches)


def _id(host: str, cache: CacheReport) -> str:
    return f"{host}:{cache.name}"


def _finding(host: str, cache: CacheReport) -> Finding:
    title = (
        f"The compile cache of {cache.owner} on host {host} is full ({size(cache.size)} of {size(cache.cap)}) and of "
        f"little use: {rate_words(cache)} in {max(1, round(cache.window_s / 3600))} h"
    )
    return Finding(
        code=IncidentCode.CACHE_THRASHING,
        subject_kind=SUBJECT,
        subject_id=_id(host, cache),
        title=title,
        facts={
            "size": cache.size,
            "cap": cache.cap,
            "hits": cache.hits,
            "misses": cache.misses,
            "window_s": cache.window_s,
            "user": cache.user,
            "what_to_do": "give it a larger [agent.sccache] size, or look which builds never come again",
        },
        hosts=(host,),
    )
