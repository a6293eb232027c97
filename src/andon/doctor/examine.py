"""The whole examination: every check in a fixed order, each told as soon as it is done.

A check that needs what another could not get cannot tell, and says so; nothing is guessed.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec

from andon import __version__
from andon.doctor.control_plane import CannotRead, ControlPlaneLook, Place
from andon.doctor.github_access import Access, GitHubAccess
from andon.doctor.github_hooks import FoundHooks, GitHubHooks
from andon.doctor.machine import certificate_end, room_of, secret_files
from andon.github.client import GitHub
from andon.github.credentials import credentials_from
from andon.github.transport import Transport
from andon.model.config import Config, Disk
from andon.rules import doctor_budget, doctor_fleet, doctor_github, doctor_hook, doctor_machine, doctor_runner_version
from andon.rules.config_checks import agent_only
from andon.rules.config_finding import Finding as ConfigFinding
from andon.rules.doctor_finding import Check, exit_code, skipped, unknown
from andon.runtime.clock import Clock
from andon.runtime.errors import Refused
from andon.runtime.http_client import Unreachable

LEDGER_WINDOW = timedelta(hours=24)
"""How far back deliveries are compared; GitHub keeps them for three days."""


class Patient(msgspec.Struct, frozen=True, kw_only=True):
    """What is examined."""

    config: Config
    path: Path
    data: Path
    warnings: tuple[tuple[int, ConfigFinding], ...] = ()
    """Of the configuration file, by line."""
    place: Place | None = None
    """The control plane; None: no address is known."""
    why_no_place: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was found."""

    checks: tuple[Check, ...]
    ledger: doctor_hook.Ledger | None = None

    @property
    def code(self) -> int:
        """The exit code (R90)."""
        return exit_code(self.checks)


class Examination:
    """One walk. `tell` gets each check when it is done, `working` what is looked at next."""

    def __init__(
        self, patient: Patient, *, clock: Clock, tell: Callable[[Check], None], working: Callable[[str], None]
    ) -> None:
        self._patient, self._clock, self._tell, self._working = patient, clock, tell, working
        self._checks: list[Check] = []
        self._ledger: doctor_hook.Ledger | None = None
        self._fleet = doctor_fleet.FleetFacts(url="", answered=False, said=patient.why_no_place)

    async def run(self) -> Report:
        """Carries every check out."""
        self._of_machine()
        look: ControlPlaneLook | None = None
        try:
            if self._patient.place is not None:
                look = ControlPlaneLook(self._patient.place)
                self._working("the control plane")
                self._fleet = await look.fleet()
            self._of_control_plane()
            await self._of_github(look)
        finally:
            if look is not None:
                await look.close()
        self._of_fleet()
        return Report(checks=tuple(self._checks), ledger=self._ledger)

    def _done(self, check: Check) -> None:
        self._checks.append(check)
        self._tell(check)

    def _of_machine(self) -> None:
        patient, config = self._patient, self._patient.config
        limits = config.agent.disk if config.agent is not None else Disk()
        self._done(doctor_machine.judge_configuration(str(patient.path), patient.warnings))
        self._done(doctor_machine.judge_secrets(secret_files(config, patient.data)))
        name = config.server.tls_cert_file
        ends, said = certificate_end(patient.data / name) if name is not None else (None, "")
        path = str(patient.data / name) if name is not None else None
        self._done(doctor_machine.judge_certificate(path, ends, said, self._clock.now()))
        room, said = room_of(patient.data)
        self._done(doctor_machine.judge_room(room, said, limits))
        slots = sum(group.count for group in config.agent.slots) if config.agent is not None else 0
        self._done(doctor_machine.judge_slot_users(config.agent, slots=slots))

    def _of_control_plane(self) -> None:
        if self._patient.place is None:
            self._done(unknown("control plane", self._patient.why_no_place))
        else:
            self._done(doctor_fleet.judge_control_plane(self._fleet))

    async def _of_github(self, look: ControlPlaneLook | None) -> None:
        config = self._patient.config
        self._working(config.github.api_url)
        if agent_only(config):
            self._done(skipped("github", "an agent's file says nothing of it"))
            return
        names = ("repositories", "permissions", "runner groups", "webhook", "deliveries", "runner program", "budget")
        try:
            credentials = credentials_from(config.github, self._patient.data, self._clock)
        except Refused as error:
            for name in ("github", "clock", *names):
                self._done(unknown(name, str(error)))
            return
        transport = Transport(
            config.github.api_url, credentials, self._clock, budget_percent=config.github.budget_percent
        )
        try:
            github = GitHub(transport)
            access = GitHubAccess(config, github, transport)
            facts, first = await access.answer()
            self._done(doctor_github.judge_answer(facts))
            self._done(doctor_github.judge_clock(facts))
            if not facts.answered or not facts.accepted:
                why = "GitHub refuses us" if facts.accepted is False else facts.said
                for name in names:
                    self._done(unknown(name, why if facts.answered else "GitHub does not answer"))
                return
            await self._with_github(access, GitHubHooks(config, github), first, look)
        finally:
            await transport.close()

    async def _with_github(
        self, access: GitHubAccess, hooks: GitHubHooks, first: Access, look: ControlPlaneLook | None
    ) -> None:
        config = self._patient.config
        self._working("repositories")
        found, there = await access.repositories(await access.watched())
        self._done(doctor_github.judge_repositories(found, not_listed=there.not_listed))
        self._working("permissions")
        self._done(doctor_github.judge_access(config, await access.access(first, there)))
        self._done(doctor_github.judge_groups(config, await access.groups()))
        self._working("webhooks")
        address = self._address()
        looked = await hooks.hooks(there, address)
        self._done(doctor_hook.judge_hooks(looked.hooks, address=address))
        self._working("deliveries")
        self._done(await self._deliveries(hooks, looked, look))
        self._working("runners")
        versions, partly = await hooks.runner_versions(there)
        self._done(doctor_runner_version.judge_runner_versions(versions, self._clock.now(), partly=partly))
        quotas, repositories = await access.quotas(), sum(len(names) for names in there.names.values())
        self._done(
            doctor_budget.judge_budget(config.github, quotas, repositories=repositories, not_listed=there.not_listed)
        )

    def _address(self) -> str | None:
        """Where webhooks should come to; None: nothing is sent to us."""
        config = self._patient.config
        if config.github.ingest == "poll":
            return None
        public = config.server.public_url
        if public is None and self._patient.place is not None:
            public = self._patient.place.url
        return f"{(public or 'http://' + config.server.listen).rstrip('/')}{doctor_hook.PATH}"

    async def _deliveries(self, hooks: GitHubHooks, looked: FoundHooks, look: ControlPlaneLook | None) -> Check:
        if self._patient.config.github.ingest == "poll":
            return skipped("deliveries", 'none are sent: ingest = "poll"')
        if not looked.logs:
            return unknown("deliveries", "no webhook of ours is seen, so there is no delivery log to compare with")
        now = self._clock.now()
        since = now - LEDGER_WINDOW
        sent = await hooks.sent(looked.logs, since)
        if sent.failed is not None and not sent.tries:
            # Nothing was read: a ledger of noughts would look as if all were well.
            return unknown("deliveries", sent.failed)
        if look is None or not self._fleet.answered:
            return unknown(
                "deliveries", "the control plane does not answer, so GitHub's log has nothing to compare with"
            )
        try:
            # Somewhat more of ours: a delivery is stored after it was sent, and by another clock.
            ours = await look.deliveries(since - timedelta(hours=1))
        except (Unreachable, CannotRead) as error:
            return unknown("deliveries", str(error))
        self._ledger, failed, unseen = doctor_hook.make_ledger(sent.tries, ours, since=since, now=now)
        return doctor_hook.judge_ledger(self._ledger, failed, unseen, partly=sent.failed, caveat=sent.caveat)

    def _of_fleet(self) -> None:
        limits = self._patient.config.agent.disk if self._patient.config.agent is not None else Disk()
        self._done(doctor_fleet.judge_hosts(self._fleet))
        self._done(doctor_fleet.judge_versions(self._fleet, __version__))
        self._done(doctor_fleet.judge_host_disks(self._fleet, limits))
        self._done(doctor_fleet.judge_labels(self._fleet))
