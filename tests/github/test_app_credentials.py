"""A GitHub App: proofs by GitHub's clock, a token for each installation, one call however many wait."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from andon.github.credentials import AppCredentials, FixedToken, credentials_from
from andon.github.outcomes import Failed, FailureClass, Got
from andon.model.config import GitHub
from andon.runtime.errors import Refused
from andon.sim.virtual_time import VirtualClock
from tests.github.peer import Peer, http_time, quota, reply
from tests.github.test_transport import call


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = pem(KEY)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ACCESS = "/app/installations/{}/access_tokens"


class AppPeer(Peer):
    """GitHub's side of App 12: who has it installed, and which tokens it gave."""

    def __init__(self, *, skew: timedelta = timedelta(), key: rsa.RSAPrivateKey = KEY, **more: Any) -> None:
        clock = VirtualClock(datetime.fromisoformat("2026-11-22T10:00:00Z"))
        credentials = AppCredentials(app_id=12, private_key=pem(key), clock=clock, **more)
        super().__init__(self.serve, clock=clock, credentials=credentials)
        self.skew = skew
        """How far GitHub's clock is ahead of ours."""
        self.installed: dict[str, dict[str, Any]] = {"orgs/acme": {"id": 34}, "users/jo": {"id": 35}}
        self.tokens: dict[str, tuple[int, datetime]] = {}
        self.revoked: set[str] = set()
        self.life = timedelta(hours=1)
        self.refusal: httpx2.Response | None = None
        """Instead of a token."""
        self.given = 0

    @property
    def their_now(self) -> datetime:
        return self.clock.now() + self.skew

    def serve(self, request: httpx2.Request) -> httpx2.Response:
        answer = self.judge(request)
        answer.headers["date"] = http_time(self.their_now)
        return answer

    def judge(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if path.endswith("/installation") or path.startswith("/app"):
            if problem := self.check_proof(bearer):
                return reply(401, {"message": problem})
            if path.endswith("/installation"):
                found = self.installed.get(path.removeprefix("/").removesuffix("/installation"))
                return reply(200, found) if found else reply(404, {"message": "Not Found"})
            if path.endswith("/access_tokens"):
                return self.give(int(path.split("/")[3]))
            return reply(200, {"id": 12, "name": "andon"})
        until = self.tokens.get(bearer, (0, self.their_now))[1]
        if until <= self.their_now or bearer in self.revoked:
            return reply(401, {"message": "Bad credentials"})
        return reply(200, {"token": bearer})

    def check_proof(self, proof: str) -> str | None:
        try:
            claims = jwt.decode(
                proof, KEY.public_key(), algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False}
            )
        except jwt.InvalidTokenError:
            return "A JSON web token could not be decoded"
        now = self.their_now.timestamp()
        if claims["iss"] != "12":
            return "'Issuer' claim ('iss') must be an Integer"
        if claims["iat"] > now or claims["exp"] <= now:
            return "'Expiration time' claim ('exp') is not in the future"
        if claims["exp"] > now + 600:
            return "'Expiration time' claim ('exp') is too far in the future"
        return None

    def give(self, installation: int) -> httpx2.Response:
        if self.refusal is not None:
            return self.refusal
        if installation not in {each["id"] for each in self.installed.values()}:
            return reply(404, {"message": "Not Found"})
        self.given += 1
        token = f"ghs_{'x' * 400}{self.given}"
        ends = self.their_now + self.life
        self.tokens[token] = (installation, ends)
        return reply(201, {"token": token, "expires_at": ends.isoformat()})

    async def token(self, owner: str = "acme") -> str | Failed:
        """The token that a call about this owner carried."""
        sent = await self.transport.send(call(owner=owner))
        return httpx2.Response(200, content=sent.body).json()["token"] if isinstance(sent, Got) else sent


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_each_owner_is_served_by_its_own_installation() -> None:
    async def story() -> None:
        peer = AppPeer()
        first, second = await peer.token("acme"), await peer.token("jo")
        assert first != second and peer.given == 2
        assert await peer.token("ACME") == first
        assert {view.account for view in peer.github.budgets()} == {"app 12", "installation 34", "installation 35"}
        assert len([line for line in peer.lines if "installation" in line]) == 5

    run(story())


@pytest.mark.parametrize("minutes", [-600, -10, -2, 0, 2, 10, 600])
def test_a_clock_that_is_off_is_corrected_by_githubs_date(minutes: int) -> None:
    async def story() -> None:
        peer = AppPeer(skew=timedelta(minutes=minutes))
        assert isinstance(await peer.token(), str)
        skew = peer.github.clock_skew()
        assert skew is not None and abs(skew.ahead_s + minutes * 60) <= 1.5
        peer.clock.advance(3 * 3600)
        assert isinstance(await peer.token(), str)

    run(story())


def test_a_token_is_renewed_ahead_of_its_end_by_one_call_for_all() -> None:
    async def story() -> None:
        peer = AppPeer()
        first = await asyncio.gather(*(peer.token() for _ in range(50)))
        assert len(set(first)) == 1 and peer.given == 1
        peer.clock.advance(54 * 60)
        assert await peer.token() == first[0]
        peer.clock.advance(61)
        later = await asyncio.gather(*(peer.token() for _ in range(50)))
        assert len(set(later)) == 1 and peer.given == 2

    run(story())


def test_a_token_is_used_up_when_it_cannot_be_renewed() -> None:
    async def story() -> None:
        peer = AppPeer()
        first = await peer.token()
        peer.refusal = reply(502)
        peer.clock.advance(57 * 60)
        assert await peer.token() == first
        peer.clock.advance(3 * 60)
        lost = await peer.token()
        assert isinstance(lost, Failed) and lost.kind is FailureClass.RETRY_LATER

    run(story())


def test_a_revoked_token_is_replaced_once_and_the_call_carried_out() -> None:
    async def story() -> None:
        peer = AppPeer()
        first = await peer.token()
        assert isinstance(first, str)
        peer.revoked.add(first)
        again = await asyncio.gather(*(peer.token() for _ in range(20)))
        assert set(again) != {first} and len(set(again)) == 1
        assert peer.given == 2

    run(story())


def test_a_second_401_is_a_finding_and_no_loop() -> None:
    async def story() -> None:
        peer = AppPeer()
        peer.life = timedelta()
        for _ in range(5):
            refused = await peer.token()
            assert isinstance(refused, Failed) and refused.kind is FailureClass.UNAUTHORISED
        assert peer.given == 2

    run(story())


def test_another_apps_key_is_a_finding_of_the_app() -> None:
    async def story() -> None:
        peer = AppPeer(key=OTHER)
        for _ in range(5):
            refused = await peer.token()
            assert isinstance(refused, Failed) and refused.kind is FailureClass.UNAUTHORISED
            assert "could not be decoded" in refused.message
        assert len(peer.asked) == 2
        assert peer.github.budgets()[0].held

    run(story())


@pytest.mark.parametrize(
    ("installation", "sentence"),
    [
        (None, 'the App 12 is not installed at "acme"'),
        ({"id": 34, "suspended_at": "2026-11-01T00:00:00Z"}, "suspended"),
    ],
)
def test_an_owner_without_an_installation_is_a_finding_and_never_reads_as_absence(
    installation: dict[str, Any] | None, sentence: str
) -> None:
    async def story() -> None:
        peer = AppPeer()
        peer.installed = {"orgs/acme": installation} if installation else {}
        for _ in range(10):
            refused = await peer.token()
            assert isinstance(refused, Failed) and refused.kind is FailureClass.UNAUTHORISED
            assert sentence in refused.message
        asked = len(peer.asked)
        assert asked <= 2
        shown = [view for view in peer.github.budgets() if view.degraded]
        assert [view.owners for view in shown] == [("acme",)] and sentence in (shown[0].degraded or "")
        peer.installed = {"orgs/acme": {"id": 36}}
        peer.clock.advance(60)
        assert isinstance(await peer.token(), str)
        assert not [view for view in peer.github.budgets() if view.degraded]

    run(story())


def test_an_app_that_was_installed_anew_is_found_again() -> None:
    async def story() -> None:
        peer = AppPeer()
        await peer.token()
        peer.installed["orgs/acme"] = {"id": 77}
        peer.clock.advance(3600)
        assert isinstance(await peer.token(), str)
        assert "installation 77" in {view.account for view in peer.github.budgets()}

    run(story())


@pytest.mark.parametrize("status", [403, 422])
def test_a_refused_token_is_the_owners_finding(status: int) -> None:
    async def story() -> None:
        peer = AppPeer()
        peer.refusal = reply(status, {"message": "This installation has been suspended"})
        refused = await peer.token()
        assert isinstance(refused, Failed) and refused.kind is FailureClass.UNAUTHORISED
        assert "This installation has been suspended" in refused.message

    run(story())


def test_a_pause_of_the_app_holds_its_own_calls_too() -> None:
    async def story() -> None:
        peer = AppPeer()
        peer.refusal = reply(429, {"message": "slow"}, retry_after="100")
        for _ in range(3):
            limited = await peer.token()
            assert isinstance(limited, Failed) and limited.kind is FailureClass.RATE_LIMITED
        assert len(peer.asked) == 2
        peer.refusal = None
        peer.clock.advance(100)
        assert isinstance(await peer.token(), str)

    run(story())


def test_a_paused_installation_asks_for_no_new_token_meanwhile() -> None:
    async def story() -> None:
        peer = AppPeer()
        await peer.token()
        window = quota(5000, 0, peer.their_now + timedelta(hours=2))
        peer.answers = [reply(429, {"message": "slow"}, retry_after="7200", **window)]
        await peer.token()
        asked = len(peer.asked)
        peer.clock.advance(7199)
        await peer.token()
        assert len(peer.asked) == asked

    run(story())


def test_tokens_can_be_narrowed() -> None:
    async def story() -> None:
        peer = AppPeer(permissions={"actions": "write"})
        await peer.token()
        (asked,) = [each for each in peer.asked if each.url.path == ACCESS.format(34)]
        assert asked.content == b'{"permissions":{"actions":"write"}}'

    run(story())


def test_the_app_itself_is_asked_with_its_proof() -> None:
    async def story() -> None:
        app = await AppPeer().github.app()
        assert not isinstance(app, Failed) and app.id == 12
        fixed = await Peer(reply()).github.app()
        assert isinstance(fixed, Failed) and fixed.kind is FailureClass.FORBIDDEN

    run(story())


def test_nothing_that_is_printed_shows_a_secret() -> None:
    async def story() -> None:
        peer = AppPeer()
        credentials = AppCredentials(app_id=12, private_key=PEM, clock=peer.clock)
        for owner in ("acme", None):
            grant = await credentials.token_for(owner, peer.transport)
            assert not isinstance(grant, Failed)
            assert grant.token not in repr(grant) and "ghs_" not in repr(grant)

    run(story())


def test_the_configuration_chooses_the_credentials(tmp_path: Path) -> None:
    clock = VirtualClock()
    (tmp_path / "t").write_text("x\n")
    (tmp_path / "app.pem").write_text(PEM)
    assert isinstance(credentials_from(GitHub(token_file="t"), tmp_path, clock), FixedToken)
    app = GitHub(app_id=12, private_key_file="app.pem")
    assert isinstance(credentials_from(app, tmp_path, clock), AppCredentials)


@pytest.mark.parametrize("text", ["no key", "", pem(ec.generate_private_key(ec.SECP256R1())), PEM[:200]])
def test_a_file_that_is_no_key_is_refused_with_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "app.pem").write_text(text)
    with pytest.raises(Refused, match=r"app\.pem: .*\."):
        credentials_from(GitHub(app_id=12, private_key_file="app.pem"), tmp_path, VirtualClock())
