"""What a secret must be to travel in an HTTP header; said without saying any of it.

HTTP libraries repeat a header that they refuse, the secret with it, so nothing odd reaches them.
"""


def odd_in_header(secret: str) -> str | None:
    """What stands in `secret` that one word of printable ASCII has not; None when it is one."""
    if secret.startswith("\ufeff"):
        return "a byte order mark at its start"
    if len(secret.splitlines()) > 1:
        return "more than one line"
    if len(secret.split()) > 1:
        return "white space inside it"
    if not secret.isascii() or not secret.isprintable():
        return "a character that is no printable ASCII"
    return None
