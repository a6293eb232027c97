"""Exchanges a one-use token or the enrolment secret for a token of this host's own."""

import msgspec

from andon.agent.backoff import Backoff
from andon.agent.credentials import Credential
from andon.agent.layout import Root
from andon.model.wire import EnrolAnswer, EnrolRequest
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.files import PlaceKept
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
_WRITES = 5
"""How often a person's command tries to write the host token before it gives up."""


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

    Its place on the disk is taken first: the exchange spends a one-use token. Raises EnrolmentRefused
    with one sentence when the answer is no, when the server is not to be trusted, and, not `patient`,
    when the host token cannot be kept.
    """
    while True:
        body = EnrolRequest(name=name, token=credential.token, version=version, clock=clock.now())
        advice = "Is `andon up` running there, and reachable from here?"
        try:
            with PlaceKept(root.host_token, mode=0o600) as place:
                answer = await http.request("POST", "/agent/v1/enrol", body=msgspec.json.encode(body))
                if answer.status in (200, 201):
                    token = msgspec.json.decode(answer.body, type=EnrolAnswer).host_token
                    await _keep(place, token, clock=clock, backoff=backoff, log=log, patient=patient)
                    log.info("host.enrolled", host=name, server=http.base_url)
                    return token
            if answer.status in _ADVICE:
                raise EnrolmentRefused(_sentence(http, name, answer))
            problem = answer.error_text()
        except Untrusted as error:
            raise EnrolmentRefused(str(error)) from None
        except (Unreachable, msgspec.MsgspecError) as error:
            problem = str(error)
        except OSError as error:
            problem = f"{root.host_token}: the host token could not be kept there ({error.strerror or error})"
            advice = "Free space or mend the folder, then run this again: the token was not used."
        if not patient:
            raise EnrolmentRefused(f"{problem.rstrip('. ')}. {advice}")
        if not backoff.failures:
            log.warning("enrolment.waiting", server=http.base_url, reason=problem)
        await clock.sleep(backoff.pause())


async def _keep(place: PlaceKept, token: str, *, clock: Clock, backoff: Backoff, log: Logger, patient: bool) -> None:
    """Writes the host token; what failed is written again, since it is not to be had a second time."""
    left = _WRITES
    while True:
        try:
            place.fill(token.encode() + b"\n")
            return
        except OSError as error:
            problem = f"{place.path}: the host token cannot be written ({error.strerror or error})"
        left -= 1
        if not patient and not left:
            raise EnrolmentRefused(
                f"{problem}, and the one-use token is spent. Mend that, then get a fresh one with `andon host add`."
            )
        if left == _WRITES - 1:
            log.warning("enrolment.unwritten", reason=problem)
        await clock.sleep(backoff.pause())


def _sentence(http: HttpClient, name: str, answer: Answer) -> str:
    message, hint = answer.error_parts()
    said = message.rstrip(". ")
    advice = hint or _ADVICE[answer.status]
    return f'{http.base_url}: host "{name}" was not enrolled ({answer.status}: {said}). {advice}'
