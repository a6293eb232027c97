"""Where a test framework says what a failing test printed: cargo and nextest, pytest, go test, jest, vitest, surefire,
Gradle, ctest, gtest, XCTest, TAP, xUnit, PHPUnit and RSpec.

A line between an opening and the next closing mark belongs to a failing test: what it says of disks and networks
is the test's business (triage-facts.md section 1, hard pairs). Only marks that are rare are listed, since each
stops the scan; a passing test is told by the lines around a hit instead.
"""

import re
from typing import Final, Literal

Event = Literal["open", "close"]

LONGEST_BLOCK = 400
"""Lines after which a block without a closing mark is over."""

_TABLE: Final[tuple[tuple[str, str, str, Event], ...]] = (
    # framework, a text the line holds, what the whole line looks like, what it does
    ("cargo", " stdout ----", r"---- .{1,200} stdout ----$", "open"),
    ("cargo", " panicked at ", r"thread '.{1,200}' (?:\(\d+\) )?panicked at ", "open"),
    ("cargo", "test result:", r"test result: ", "close"),
    ("nextest", "--- STD", r"\s*--- STD(?:OUT|ERR):", "open"),
    ("nextest", "stderr ───", r"\s*stderr ───", "open"),
    ("nextest", "stdout ───", r"\s*stdout ───", "open"),
    ("nextest", "     Summary [", r"\s*Summary \[", "close"),
    ("pytest", "= FAILURES =", r"=+ FAILURES =+$", "open"),
    ("pytest", "= ERRORS =", r"=+ ERRORS =+$", "open"),
    ("pytest", "short test summary info", r"=+ short test summary info =+$", "open"),
    ("pytest", " seconds =", r"=+ .*\d+ (?:failed|passed|error).* =+$", "close"),
    ("pytest", "s =====", r"=+ .*\d+ (?:failed|passed|error).* =+$", "close"),
    ("unittest", "FAIL: test", r"FAIL: \w+ \(", "open"),
    ("unittest", "ERROR: test", r"ERROR: \w+ \(", "open"),
    ("unittest", " tests in ", r"Ran \d+ tests? in ", "close"),
    ("go", "--- FAIL: ", r"\s*--- FAIL: ", "open"),
    ("go", "FAIL\t", r"FAIL\t", "close"),
    ("jest", "● ", r"\s*● .{0,300}(?:›|\w)", "open"),
    ("jest", "Test Suites:", r"Test Suites: ", "close"),
    ("vitest", "Failed Tests", r".{0,300}Failed Tests \d", "open"),
    ("vitest", " Test Files ", r"\s*Test Files  ", "close"),
    ("mocha", " failing", r"\s+\d+ failing$", "open"),
    ("surefire", "<<< FAILURE!", r".{0,400}<<< FAILURE!", "open"),
    ("surefire", "<<< ERROR!", r".{0,400}<<< ERROR!", "open"),
    ("surefire", "Results:", r"(?:\[(?:INFO|ERROR)\] )?Results ?:", "close"),
    ("gradle", ") FAILED", r"\S.{0,200} > .{1,200} FAILED$", "open"),
    ("gradle", "FAILURE: Build failed", r"FAILURE: Build failed", "close"),
    ("ctest", "***Failed", r".{0,200}\*\*\*Failed", "open"),
    ("ctest", "***Exception", r".{0,200}\*\*\*Exception", "open"),
    ("ctest", "% tests passed", r"\d+% tests passed", "close"),
    ("gtest", "[  FAILED  ]", r"\[  FAILED  \] ", "open"),
    ("gtest", "[==========]", r"\[==========\] .* ran\.", "close"),
    ("xctest", "error: -[", r".{0,400}: error: -\[", "open"),
    ("xctest", "' failed (", r"Test Case '.{1,300}' failed \(", "close"),
    ("tap", "not ok ", r"not ok \d+", "open"),
    ("xunit", " [FAIL]", r".{0,400} \[FAIL\]$", "open"),
    ("xunit", "Error Message:", r"\s*Error Message:", "open"),
    ("xunit", "Total tests:", r"Total tests: ", "close"),
    ("phpunit", " failure", r"There (?:was|were) \d+ (?:failure|error)s?:", "open"),
    ("phpunit", "Assertions: ", r"Tests: \d+, Assertions: ", "close"),
    ("rspec", "Failure/Error:", r"\s*Failure/Error:", "open"),
    ("rspec", " examples, ", r"\d+ examples?, \d+ failures?", "close"),
)

TEXTS: Final = tuple(dict.fromkeys(text for _, text, _, _ in _TABLE if len(text.strip()) >= 5 or not text.isascii()))
"""What a line that opens or closes a block holds."""
LOOKS: Final = tuple("^(?:" + look + ")" for _, _, look, _ in _TABLE)
"""RE2 patterns of the lines that open or close a block."""
EVENTS: Final = tuple(event for _, _, _, event in _TABLE)
"""What each of LOOKS does."""

_PASSING = re.compile(
    rb"(?:"
    rb"\.\.\.+ ?(?:ok|OK|passed|skipped|ignored|Passed|yes|no)\b"
    rb"|(?:^|[\s:])(?:PASSED|PASS|XFAIL|SKIPPED|XPASS)(?:[\s:]|$)"
    rb"|^\s*(?:\xe2\x9c\x93|\xe2\x9c\x94|\xe2\x88\x9a|\xe2\x8f\xad|\xe2\x97\xbc|\xe2\x9c\x85)"
    rb"|^\s*--- (?:PASS|SKIP): "
    rb"|\[       OK \]"
    rb"|^ok \d+\b|^\s*ok  ?\t"
    rb"|' passed \("
    rb"|\s{2,}Passed\s+\d+\.\d+ sec"
    rb"|^\s*Passed \S.* \[[<\d]"
    rb"|^\s*(?:test|spec|case) .{1,200} (?:passed|succeeded)$"
    rb")"
)
_BEGINS = re.compile(
    rb"(?:^=== (?:RUN|CONT|PAUSE|NAME)|^\[ RUN      \]|^Test Case '.*' started|^\s*Start +\d+: |^test .* \.\.\.$"
    rb"|^\S{1,200}::\S{1,200} ?$)"
)
_FAILING = re.compile(rb"(?:^\s*--- FAIL: |\[  FAILED  \]|' failed \(|^not ok |\bFAILED\b)")


def passes(body: bytes, before: list[bytes], after: list[bytes]) -> bool:
    """Whether a line is what a passing test printed, or the name of one."""
    if _PASSING.search(body):
        return True
    begun = False
    for line in reversed(before):
        if _PASSING.search(line) or _FAILING.search(line):
            break
        if _BEGINS.match(line):
            begun = True
            break
    for line in after:
        if _FAILING.search(line):
            return False
        if begun and _PASSING.search(line):
            return True
        if _BEGINS.match(line):
            return False
    return False
