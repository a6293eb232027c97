"""The configuration file, as interfaces.md section 1 fixes it. Loading it is `runtime.toml_file`.

What the values must satisfy together is checked by `rules.config_checks`.
"""

from typing import Literal

import msgspec

Mode = Literal["act", "observe"]
Trust = Literal["any", "no-forks", "listed"]


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """`[server]`: where the control plane listens and keeps things."""

    listen: str = "127.0.0.1:8470"
    database: str = "sqlite:///andon.db"
    public_url: str | None = None
    """How people reach the pages; None: derived from `listen`."""
    agent_token_file: str = "agent.token"
    operator_token_file: str = "operator.token"
    read: Literal["open", "token"] = "open"
    viewer_token_file: str = "viewer.token"
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    behind_proxy: bool = False
    blobs: str = "file:blobs"


class GitHub(msgspec.Struct, frozen=True, kw_only=True):
    """`[github]`: the API, how events come in, and the credentials."""

    api_url: str = "https://api.github.com"
    ingest: Literal["webhook", "poll"] = "webhook"
    poll_seconds: float = 20.0
    sweep_seconds: float = 60.0
    webhook_secret_file: str = "webhook.secret"
    token_file: str | None = None
    app_id: int | None = None
    private_key_file: str | None = None
    budget_percent: float = 80.0
    """How much of a credential's quota we use at most; the rest is for others (R8)."""


class Rails(msgspec.Struct, frozen=True, kw_only=True):
    """`[rails]`: whether automatic acts act, or are only journalled as "would"."""

    mode: Mode = "act"


class LaneMatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a lane serves; a key that is left out matches everything."""

    event: str | None = None
    branch: str | None = None


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """`[[owner.repository.lane]]`: work that goes first, and is never cancelled by us."""

    name: str
    match: LaneMatch = LaneMatch()
    priority: int = 0
    protected: bool = False


class Repository(msgspec.Struct, frozen=True, kw_only=True):
    """`[[owner.repository]]`: one repository's own settings."""

    name: str
    priority: int = 0
    max_job_minutes: float | None = None
    lane: tuple[Lane, ...] = ()


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """`[[owner]]`: an organisation or account, its share, its cap and what is watched of it."""

    login: str
    weight: float = 1.0
    max_slots: int | None = None
    runners: Literal["repository", "organisation"] = "repository"
    repositories: tuple[str, ...] = ()
    repository: tuple[Repository, ...] = ()


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """`[pool.workspace]`: the directory that a job gets."""

    place: Literal["root", "work"] = "root"
    owner: str = "runner"
    export: dict[str, str] = {}
    base: str = "none"


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """`[[pool.probe]]`: a canary job."""

    name: str
    command: tuple[str, ...]
    every_hours: float = 24.0


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """`[[pool]]`: slots that serve one label set."""

    name: str
    labels: tuple[str, ...]
    runner_group_id: int = 1
    trust: Trust = "no-forks"
    repositories: tuple[str, ...] = ()
    registration_minutes: float = 2.5
    workspace: Workspace = Workspace()
    probe: tuple[Probe, ...] = ()


class Slots(msgspec.Struct, frozen=True, kw_only=True):
    """`[[agent.slots]]`: `count` slots of one pool that start runners with `command`."""

    pool: str
    command: tuple[str, ...]
    count: int = 1
    user: str | None = None


class Images(msgspec.Struct, frozen=True, kw_only=True):
    """`[[agent.disk.images]]`: images that a container engine may be told to prune when their room is needed."""

    engine: Literal["docker", "podman"]
    older_hours: float
    """Only images that were made longer ago: there is no pruning without an age."""
    all: bool = False
    """Images with a name, too, that no container uses; without it only those that lost their name."""
    path: str | None = None
    """Where the engine keeps its images: the filesystem that gains; None: the engine's usual place."""


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """`[[agent.disk.cache]]`: a folder outside the agent's root that is counted, or kept to a size."""

    path: str
    kind: Literal["counted", "lru"] = "counted"
    """`lru`: its least recently used entries go while it is larger than `cap`; `counted`: never touched by us."""
    cap: str | None = None
    depth: int = 1
    """How far below `path` an entry lies: 1, what lies in it."""
    unused_hours: float = 24.0
    """An entry that was used since stays, whatever the cap says."""


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """`[agent.disk]`: percent free, of bytes and of inodes; and what outside the root may go."""

    soft_percent: float = 15.0
    hard_percent: float = 10.0
    emergency_percent: float = 4.0
    admission_floor: str = "5 GiB"
    checkout_days: float | None = None
    """After so long an adopted runner's checkout that nothing changed may go for its room; None: never."""
    images: tuple[Images, ...] = ()
    cache: tuple[Cache, ...] = ()


class Sccache(msgspec.Struct, frozen=True, kw_only=True):
    """`[agent.sccache]`: a compile cache that the agent keeps for its jobs (R55)."""

    size: str
    """The cap of each cache: there is one for each owner of repositories and user that jobs run as."""
    program: str = "sccache"
    """A path, or a name to find in the agent's PATH."""


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """`[agent]`: one host. Also the only table, beside `[server]`, that `andon agent run` reads."""

    name: str
    server: str = "http://127.0.0.1:8470"
    ca_file: str | None = None
    token_file: str | None = None
    root: str | None = None
    """Everything below it is the agent's own; None: a folder of the agent's name."""
    isolation: Literal["preferred", "required"] = "preferred"
    slots: tuple[Slots, ...] = ()
    disk: Disk = Disk()
    sccache: Sccache | None = None


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """`[[host]]`: optional levers of the control plane on a host."""

    name: str
    reboot: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()


class Criterion(msgspec.Struct, frozen=True, kw_only=True):
    """`[[bar.criterion]]`."""

    id: Literal["no-bypass", "queue-age", "disk-retry", "canary", "fleet-outage"]
    bound: float | None = None
    window: str | None = None


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """`[[bar]]`: an acceptance bar."""

    name: str
    repositories: tuple[str, ...] = ()
    criterion: tuple[Criterion, ...] = ()


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    server: Server = Server()
    github: GitHub = GitHub()
    rails: Rails = Rails()
    owner: tuple[Owner, ...] = ()
    pool: tuple[Pool, ...] = ()
    agent: Agent | None = None
    host: tuple[Host, ...] = ()
    bar: tuple[Bar, ...] = ()
