"""Key pairs of Apps, and the check of the short JSON web tokens that they sign.

The refusals are GitHub's own words, by which clients are told apart: a clock that is off reads
differently from a wrong key. Keys are the one thing here that chance does not make: they appear in
no trace.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from andon.sim.sandbox.app_records import App
from andon.sim.sandbox.refusals import ApiError

_NOT_DECODED = "A JSON web token could not be decoded"
_NO_NUMBER = (
    "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion "
    "expires"
)
_TOO_FAR = "'Expiration time' claim ('exp') is too far in the future"
_ISSUED = "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"


def new_key_pair() -> tuple[str, str]:
    """A fresh private key (PKCS#1, as GitHub gives it) and its public half, both PEM."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode(), public.decode()


def check_public_key(pem: str) -> None:
    """Raises ApiError 422 unless `pem` is a public RSA key."""
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except ValueError:
        key = None
    if not isinstance(key, rsa.RSAPublicKey):
        raise ApiError(422, '"public_key" is no public RSA key in PEM. Leave it out to have a pair made.')


def looks_like_jwt(token: str) -> bool:
    """Whether this can only be meant as a JSON web token."""
    return token.startswith("eyJ") and token.count(".") == 2


def app_of_jwt(token: str, find: Callable[[str], App | None], now: datetime, *, life_s: float, leeway_s: float) -> App:
    """The App that signed this. Raises ApiError 401 or 404.

    `find` looks an App up by its id or client id; `life_s` bounds how far off `exp` may be.
    """
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        raise ApiError(401, _NOT_DECODED) from None
    app = find(str(claims.get("iss", "")))
    if app is None:
        raise ApiError(404, "Integration not found")
    try:
        # The claims about time are checked below, against the sandbox's own clock.
        jwt.decode(
            token,
            app.public_key,
            algorithms=["RS256"],
            options={"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False},
        )
    except jwt.PyJWTError:
        raise ApiError(401, _NOT_DECODED) from None
    issued, expires, seconds = claims.get("iat"), claims.get("exp"), now.timestamp()
    if not isinstance(issued, int) or issued > seconds + leeway_s:
        raise ApiError(401, _ISSUED)
    if not isinstance(expires, int | float) or expires <= seconds:
        raise ApiError(401, _NO_NUMBER)
    if expires > seconds + life_s + leeway_s:
        raise ApiError(401, _TOO_FAR)
    return app
