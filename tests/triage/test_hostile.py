"""Logs made to confuse: the same verdict, and a cost that grows with length only (R76)."""

import time

import pytest

from tests.triage.judging import engine, failing, judged

CAUSE = "error: failed to build archive: No space left on device (os error 28)"
HOSTILE = {
    "a line of 10 MB before": [b"x" * 10_000_000],
    "a line of 10 MB of quoted errors": [b"# No space " * 900_000],
    "nested groups": [b"##[group]a" * 1, *[b"##[group]deeper"] * 20_000],
    "endgroups without groups": [b"##[endgroup]"] * 20_000,
    "nul": [b"\0" * 100_000, b"a\0b"],
    "bad utf-8": [bytes(range(128, 256)) * 1000],
    "unfinished colours": [b"\x1b[" * 200_000, b"\x1b]" * 200_000],
    "echoed errors in the middle of lines": [b'echo "##[error]code is broken"'] * 1000,
    "carriage returns": [b"10%\r" * 200_000],
    "many hits": [b"warning: connection reset by peer, retrying"] * 20_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_same_verdict(name: str) -> None:
    text = failing("@@", CAUSE, "error: could not compile `a`").encode().replace(b"@@", b"\n".join(HOSTILE[name]))
    verdict = judged(text)
    assert (verdict.kind, verdict.rerun) == ("disk-full", True)
    assert verdict.evidence[0].text == CAUSE


def test_an_echoed_script_is_not_what_it_prints() -> None:
    log = "\n".join(
        [
            "##[group]Run ./check.sh",
            'if grep "No space left on device" log; then echo "##[error]disk"; fi',
            "##[error]The runner has received a shutdown signal.",
            "##[endgroup]",
            "a.c:8:17: error: expected ';'",
            "##[error]Process completed with exit code 1.",
        ]
    )
    assert judged(log).kind == "compile"


@pytest.mark.parametrize("line", [b"connection reset by peer, retrying", b"##[group]Run x\n##[endgroup]", b"\x1b[31m"])
def test_the_cost_is_linear(line: bytes) -> None:
    def cost(count: int) -> float:
        piece = (line + b"\n") * 1000
        start = time.process_time()
        engine().judge(piece for _ in range(count))
        return time.process_time() - start

    cost(2)
    small, large = cost(8), cost(64)
    assert large < 8 * small * 3, (small, large)
