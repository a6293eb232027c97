"""Exchanges a one-use token or the enrolment secret for a token of this host's own."""

import msgspec

from andon.agent.backoff import Backoff
from andon.agent.credentials import Credential
from andon.agent.layout import Root
from andon.model.wire import EnrolAnswer, EnrolRequest
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.files import write_atomically
from andon.runtime.http_client import Answer, HttpClient, Unreachable, Untrusted
from andon.runtime.logging import Logger

# Where the server says no more than no.
_ADVICE = {
    401: "Get a fresh token with `andon host add`, or name the right [server] agent_token_file.",
    403: "Enrol with a token from `andon host add`; the enrolment secret works from the same machine only.",
    409: "Give this host another [agent] name, or take the old one away with `andon host remove`.",
    422: "Correct this host's clock or its [agent] name.",
    426: "Install the version of Andon that the control plane has.",
}


class EnrolmentRefused(Refused):
    """The control plane does not take this host."""


async def enrol(
    http: HttpClient,
    credential: Credential,
    *,
    name: str,
    version: str,
    root: Root,
    clock: Clock,
    backoff: Backoff,
    log: Logger,
    patient: bool = True,
) -> str:
    """The host token, kept in `<root>/host.token`; a `patient` one tries until the control plane answers.

    Raises EnrolmentRefused with one sentence when it answers no, and when it is not to be trusted.
    """
    while True:
        body = EnrolRequest(name=name, token=credential.token, version=version, clock=clock.now())
        try:
            answer = await http.request("POST", "/agent/v1/enrol", body=msgspec.json.encode(body))
            if answer.status in (200, 201):
                token = msgspec.json.decode(answer.body, type=EnrolAnswer).host_token
                write_atomically(root.host_token, token.encode() + b"\n", mode=0o600)
                log.info("host.enrolled", host=name, server=http.base_url)
                return token
            if answer.status in _ADVICE:
                raise EnrolmentRefused(_sentence(http, name, answer))
            problem = answer.error_text()
        except Untrusted as error:
            raise EnrolmentRefused(str(error)) from None
        except (Unreachable, msgspec.MsgspecError, OSError) as error:
            problem = str(error)
        if not patient:
            raise EnrolmentRefused(f"{problem.rstrip('. ')}. Is `andon up` running there, and reachable from here?")
        if not backoff.failures:
            log.warning("enrolment.waiting", server=http.base_url, reason=problem)
        await clock.sleep(backoff.pause())


def _sentence(http: HttpClient, name: str, answer: Answer) -> str:
    message, hint = answer.error_parts()
    said = message.rstrip(". ")
    advice = hint or _ADVICE[answer.status]
    return f'{http.base_url}: host "{name}" was not enrolled ({answer.status}: {said}). {advice}'
