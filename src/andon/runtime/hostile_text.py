"""Text from elsewhere, before it is parsed: what no column of a database takes is replaced."""

_ESCAPED_NUL = b"\\u0000"
_REPLACEMENT = b"\\ufffd"


def without_nul(json: bytes) -> bytes:
    """A JSON body without NUL characters: PostgreSQL's text has none, and no honest name does.

    In JSON they only occur escaped. Bodies have none, so this is one search.
    """
    return json.replace(_ESCAPED_NUL, _REPLACEMENT) if _ESCAPED_NUL in json else json
