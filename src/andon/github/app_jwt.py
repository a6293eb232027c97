"""The App's proof of who it is: a JWT signed with its private key, by GitHub's clock.

GitHub takes one that lives 10 minutes at most. It is dated a minute back and ends before nine are
over, so that a clock which is seconds off does no harm; one that is minutes off is corrected by the
Date of GitHub's answers.
"""

from datetime import datetime, timedelta

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

BACK = timedelta(seconds=60)
LIFE = timedelta(minutes=8)
"""From now to its end; with `BACK` nine minutes."""


def read_key(pem: str) -> RSAPrivateKey:
    """The key in a PEM file's text. Raises ValueError when there is none, or none of RSA's."""
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError("no private key in PEM form") from error
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


def make_jwt(app_id: int, key: RSAPrivateKey, github_now: datetime) -> str:
    """A proof for an App, by GitHub's time."""
    claims = {"iss": str(app_id), "iat": int((github_now - BACK).timestamp())}
    return jwt.encode({**claims, "exp": int((github_now + LIFE).timestamp())}, key, algorithm="RS256")
