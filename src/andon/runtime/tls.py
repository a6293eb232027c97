"""Whom a client of ours trusts, and what exactly is wrong when a TLS connection does not come about.

Libraries say `CERTIFICATE_VERIFY_FAILED`; a person needs the date, the names, and what to do. Where
the error does not tell, the server is asked again with one check less, and nothing else is sent.
"""

import asyncio
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from andon.runtime.errors import Refused

PATIENCE_S = 5.0
_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL: everything is checked but the dates."""
# X509_V_ERR_* of OpenSSL.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_SIGNER = frozenset({2, 18, 19, 20, 21})
_OTHER_NAME = frozenset({62, 64})


def client_context(ca_file: Path | None) -> ssl.SSLContext | None:
    """What a client trusts that was given this CA file; None: what the machine trusts.

    A certificate in the file is trusted as it stands, so that a server's own will do. Raises Refused
    for a file that cannot be used.
    """
    if ca_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:
        reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise Refused(
            f"{ca_file}: the CA file cannot be used ({reason}). Name a PEM file as [agent] ca_file."
        ) from None
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context


async def tls_fault(url: str, error: BaseException, context: ssl.SSLContext | None) -> str | None:
    """One sentence on why talking to `url` failed with `error`, if TLS is the reason."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    cause = _tls_error(error)
    if parts.scheme != "https":
        # A TLS server hangs up on plain HTTP, as others do for other reasons: so it is asked.
        if await _speaks_tls(host, port):
            return f"{url}: that port speaks TLS. Write https:// instead of http://."
        return None
    if cause is None:
        return None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return await _certificate_fault(url, host, port, cause, context)
    if cause.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
        return f"{url}: that port speaks plain HTTP and no TLS. Write http://, or set up TLS there."
    return f"{url}: no TLS connection came about ({cause.reason or cause}). Check the server's certificate and key."


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return error
        error = error.__cause__ or error.__context__
    return None


async def _certificate_fault(
    url: str, host: str, port: int, error: ssl.SSLCertVerificationError, context: ssl.SSLContext | None
) -> str:
    code = error.verify_code
    if code in (_EXPIRED, _NOT_YET_VALID):
        late = code == _EXPIRED
        dates = await _certificate(host, port, context, without="dates")
        at = _date(dates, "notAfter" if late else "notBefore")
        if late:
            when = f" on {at}" if at else ""
            return f"{url}: the server's certificate expired{when}. Renew it there, or correct this machine's clock."
        when = f" before {at}" if at else " yet"
        return f"{url}: the server's certificate is not valid{when}. Check this machine's clock."
    if code in _UNKNOWN_SIGNER:
        return (
            f"{url}: nobody that this machine trusts signed the server's certificate. "
            "Name the file of its signer as [agent] ca_file, or in SSL_CERT_FILE."
        )
    if code in _OTHER_NAME:
        found = await _certificate(host, port, context, without="name")
        names = ", ".join(str(name) for _, name in found.get("subjectAltName", ())) or "no name"
        return (
            f'{url}: the server\'s certificate is not for "{host}" but for {names}. '
            "Use a name that it has, or give the server a certificate for this one."
        )
    return f"{url}: the server's certificate is refused ({error.verify_message}). Give the server another one."


def _date(certificate: dict[str, Any], name: str) -> str | None:
    given = certificate.get(name)
    if given is None:
        return None
    at = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(given)), UTC)
    return f"{at:%Y-%m-%d %H:%M} UTC"


async def _certificate(host: str, port: int, context: ssl.SSLContext | None, *, without: str) -> dict[str, Any]:
    """The server's certificate, with one check left out; empty when it is wrong in other ways too."""
    asking = ssl.create_default_context()
    if context is not None:
        asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        asking.verify_flags = context.verify_flags
        for certificate in context.get_ca_certs(binary_form=True):
            asking.load_verify_locations(cadata=certificate)
    if without == "dates":
        asking.verify_flags = ssl.VerifyFlags(asking.verify_flags | _NO_CHECK_TIME)
    else:
        asking.check_hostname = False
    found: dict[str, Any] = {}
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            _, writer = await asyncio.open_connection(host, port, ssl=asking)
            found = writer.get_extra_info("peercert") or {}
            await _hang_up(writer)
    return found


async def _speaks_tls(host: str, port: int) -> bool:
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname = False
    anybody.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(PATIENCE_S):
            _, writer = await asyncio.open_connection(host, port, ssl=anybody)
            await _hang_up(writer)
    except (OSError, TimeoutError):
        return False
    return True


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
