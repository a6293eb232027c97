"""What `[agent.disk]` may declare of places outside the agent's root: nothing else there is ever touched (R47)."""

from collections.abc import Iterator
from itertools import combinations

from andon.model.config import Cache, Disk, Images
from andon.rules.config_finding import Finding, KeyPath, refused
from andon.rules.declared_life import LEAST_CHECKOUT_DAYS
from andon.rules.sizes import parse_size

LEAST_IMAGE_HOURS = 24.0
"""Younger images may be those of a job that runs."""
DEEPEST = 8
_SYSTEM = frozenset(
    ("", "bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root", "run", "sbin")
) | {"srv", "sys", "tmp", "usr", "var"}
"""No cache of anybody's, whatever a configuration says."""


def check_declared(disk: Disk) -> Iterator[Finding]:
    """`checkout_days`, `images` and `cache` of `[agent.disk]`."""
    at = ("agent", "disk")
    days = disk.checkout_days
    if days is not None and not days >= LEAST_CHECKOUT_DAYS:
        yield refused(
            f"checkout_days is {days:g}. Set it to {LEAST_CHECKOUT_DAYS:g} or more: a job may last five days.",
            *at,
            "checkout_days",
        )
    for number, images in enumerate(disk.images):
        yield from _check_images(images, (*at, "images", number))
    for number, cache in enumerate(disk.cache):
        yield from _check_cache(cache, (*at, "cache", number))
    for (_, one), (number, other) in combinations(enumerate(disk.cache), 2):
        if _overlap(_parts(one.path), _parts(other.path)):
            yield refused(
                f'path "{other.path}" and "{one.path}" lie in each other, and a folder has one cap. Name one of them.',
                *at,
                "cache",
                number,
                "path",
            )


def _check_images(images: Images, at: KeyPath) -> Iterator[Finding]:
    if not images.older_hours >= LEAST_IMAGE_HOURS:
        yield refused(
            f"older_hours is {images.older_hours:g}. Set it to {LEAST_IMAGE_HOURS:g} or more.", *at, "older_hours"
        )
    if images.path is not None and not _is_plain(images.path):
        yield refused(f'path is "{images.path}". Write where {images.engine} keeps its images, from "/".', *at, "path")


def _check_cache(cache: Cache, at: KeyPath) -> Iterator[Finding]:
    if not _is_plain(cache.path) or "/".join(_parts(cache.path)) in _SYSTEM:
        yield refused(f'path is "{cache.path}". Write the folder of one cache, from "/" and without "..".', *at, "path")
    if cache.cap is not None and parse_size(cache.cap) is None:
        yield refused(f'cap is "{cache.cap}", which is no size. Write it as "20 GiB" or "500 MiB".', *at, "cap")
    if cache.kind == "lru" and cache.cap is None:
        yield refused('kind "lru" needs a cap. Write one, as "20 GiB", or make it kind "counted".', *at, "kind")
    if not 1 <= cache.depth <= DEEPEST:
        yield refused(f"depth is {cache.depth}. Set it from 1 to {DEEPEST}.", *at, "depth")
    if not cache.unused_hours >= 0:
        yield refused(f"unused_hours is {cache.unused_hours:g}. Set it to 0 or more.", *at, "unused_hours")


def _is_plain(path: str) -> bool:
    return path.startswith("/") and not path.startswith("//") and ".." not in path.split("/") and path.isprintable()


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _overlap(one: list[str], other: list[str]) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
