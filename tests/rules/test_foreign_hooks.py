"""Which hooks delete or prune, by their text: a table of what counts and of what does not."""

import pytest

from andon.rules.foreign_hooks import MAX_HOOK_BYTES, RULES, deletions_in

DELETING = {
    "rm removes directories": [
        "rm -r /srv/target",
        "rm -rf /srv/target",
        "rm -fr /srv/target",
        "rm -Rf /srv/target",
        "rm -f -r /srv/target",
        "rm -f /srv/target -r",
        "rm --recursive --force /srv/target",
        "rm --rec /srv/target",
        "rm -vrf /srv/target",
        "sudo /bin/rm -rf /srv/target",
        "\\rm -rf /srv/target",
        "'rm' \"-rf\" /srv/target",
        'bash -c "rm -rf /srv/target"',
        "if [ $used -gt 85 ]; then rm -rf /srv/*/target; fi",
        "x=$(rm -rf /srv/target)",
        "rm \\\n  -r \\\n  /srv/target",
        "true && rm -rf x",
        "\trm\t-rf\tx\r",
        "echo 'disk # is full'; rm -rf x",
        "echo done; rm -rf x # tidy",
    ],
    "find deletes what it finds": [
        "find /srv -mtime +1 -delete",
        "find /srv -type d -exec rm -rf {} +",
        "find /srv -exec /bin/rm {} \\;",
        "find /srv -execdir unlink {} \\;",
    ],
    "xargs removes what a list names": ["ls /srv | xargs rm", "find /srv -print0 | xargs -0 -n1 rm -f"],
    "it prunes": [
        "docker system prune -af",
        "docker image prune --force",
        "podman volume prune",
        "/usr/local/bin/prune-targets",
        "cargo-prune.sh /srv",
        "git worktree prune",
    ],
    "it truncates files": ["truncate -s 0 /var/log/big", "/usr/bin/truncate -s0 x"],
    "git clean removes files": ["git clean -ffdx", "git -C /srv clean -fd"],
    "rsync deletes what the source lacks": ["rsync -a --delete /empty/ /srv/", "rsync --delete-before a b"],
    "a sweeper of temporary files runs": ["tmpreaper 1d /tmp", "systemd-tmpfiles --clean"],
    "a program removes a tree": ["python3 -c 'import shutil; shutil.rmtree(\"/srv\")'"],
}

HARMLESS = [
    "",
    "echo hello",
    "# rm -rf / is a bad idea",
    "true # rm -rf x",
    "rm -f /tmp/one-file",
    "rm -- -r",
    "rmdir /srv/empty",
    "grep -r rm /etc",
    "alarm -r; farm -rf; confirm --recursive",
    "find /srv -name target -print",
    "mkdir -p /srv/target && cp -r a b",
    "echo pruned; echo prunella",
    "git status; git log --cleanup=strip",
    "rsync -a a b",
    "df -h; curl -fsS http://127.0.0.1/started",
]


def test_every_rule_has_its_examples() -> None:
    assert set(DELETING) == set(RULES)


@pytest.mark.parametrize(("why", "text"), [(why, text) for why, texts in DELETING.items() for text in texts])
def test_a_hook_that_deletes_is_told(why: str, text: str) -> None:
    found = deletions_in(f"#!/bin/bash\nset -e\n{text}\nexit 0\n".encode())
    assert why in [each.why for each in found]


def test_the_line_is_named_where_the_command_begins() -> None:
    first, second = deletions_in(b"echo a\nrm \\\n -rf x\necho b\ndocker system prune\n")
    assert (first.line, second.line) == (2, 5)
    assert second.text == "docker system prune"


@pytest.mark.parametrize("text", HARMLESS)
def test_a_hook_that_deletes_nothing_is_left_alone(text: str) -> None:
    assert deletions_in(f"#!/bin/bash\nset -e\n{text}\nexit 0\n".encode()) == ()


@pytest.mark.parametrize("content", [None, b"\x7fELF\0\0\0", b"\xff\xfe\xfd", b"#" * (MAX_HOOK_BYTES + 1)])
def test_what_cannot_be_told_counts_as_deleting(content: bytes | None) -> None:
    (found,) = deletions_in(content)
    assert found.line == 0 and "cannot be told" in found.why
