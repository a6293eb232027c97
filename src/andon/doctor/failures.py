"""A failed call of GitHub's in words that fit into a sentence."""

from andon.github.outcomes import Failed


def said(failed: Failed) -> str:
    """GitHub's, or the network's, words, with the status where there is one."""
    words = failed.message.strip().rstrip(".")
    return words if failed.status is None else f"{failed.status}, {words}"
