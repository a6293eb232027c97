"""Every refusal and warning of the configuration checks: its place, and a sentence that says what to do."""

from pathlib import Path

import pytest

from andon.model.config import Config
from andon.rules.config_checks import agent_only, check, check_agent, check_control_plane
from andon.rules.config_finding import Finding, Severity
from andon.runtime.toml_file import parse_toml

GITHUB = '[github]\ntoken_file = "github.token"\n'
OWNER = '[[owner]]\nlogin = "acme"\nrepositories = ["acme/app"]\n'
POOL = '[[pool]]\nname = "linux"\nlabels = ["self-hosted"]\n'
SLOTS = '[[agent.slots]]\npool = "linux"\ncommand = ["run.sh"]\n'
AGENT = f'[agent]\nname = "host-a"\n{SLOTS}'
IMAGES = '[[agent.disk.images]]\nengine = "docker"\n'
CACHE = "[[agent.disk.cache]]\n"
GOOD = GITHUB + OWNER + POOL


def config_of(text: str) -> Config:
    return parse_toml(Path("andon.toml"), text, Config)


def only(findings: tuple[Finding, ...], severity: Severity) -> list[Finding]:
    return [one for one in findings if one.severity is severity]


APP = '[github]\napp_id = 1\nprivate_key_file = "app.pem"\n' + OWNER + POOL


@pytest.mark.parametrize("text", [GOOD, GOOD + AGENT, AGENT, APP])
def test_a_good_file_has_no_findings(text: str) -> None:
    assert check(config_of(text)) == ()


REFUSALS: list[tuple[str, tuple[str | int, ...], str]] = [
    (GOOD + '[pool.workspace]\nowner = "a b"\n', ("pool", 0, "workspace", "owner"), 'Write "runner"'),
    (GOOD + '[pool.workspace]\nexport = {X = "../x"}\n', ("pool", 0, "workspace", "export"), "no sub-directory"),
    (GOOD + '[pool.workspace]\nexport = {PATH = "x"}\n', ("pool", 0, "workspace", "export"), "by the system"),
    ('[server]\nlisten = "8470"\n' + GOOD, ("server", "listen"), "is not HOST:PORT"),
    ('[server]\nlisten = "127.0.0.1:65536"\n' + GOOD, ("server", "listen"), "from 0 to 65535"),
    ('[server]\nlisten = "[zz]:1"\n' + GOOD, ("server", "listen"), "is not HOST:PORT"),
    ('[server]\nlisten = "0.0.0.0:8470"\n' + GOOD, ("server", "listen"), "without TLS"),
    ('[server]\nlisten = "[::]:8470"\n' + GOOD, ("server", "listen"), "without TLS"),
    ('[server]\nlisten = "ci.example.org:8470"\n' + GOOD, ("server", "listen"), "without TLS"),
    ('[server]\ntls_cert_file = "c.pem"\n' + GOOD, ("server", "tls_cert_file"), "without tls_key_file"),
    ('[server]\ntls_key_file = "k.pem"\n' + GOOD, ("server", "tls_key_file"), "without tls_cert_file"),
    ('[server]\ndatabase = "mysql://x/y"\n' + GOOD, ("server", "database"), 'kind "mysql"'),
    ('[server]\ndatabase = "sqlite:///"\n' + GOOD, ("server", "database"), "sqlite:///FILE"),
    ('[server]\ndatabase = "postgresql://u:hush@h/d"\n' + GOOD, ("server", "database"), "holds a password"),
    ('[server]\ndatabase = "postgresql://u@h"\n' + GOOD, ("server", "database"), "names no database"),
    ('[server]\npublic_url = "ci.example.org"\n' + GOOD, ("server", "public_url"), "no http or https"),
    ('[server]\npublic_url = "https://ci:99999"\n' + GOOD, ("server", "public_url"), "no http or https"),
    (OWNER + POOL, ("github",), "no GitHub credential"),
    ("[github]\napp_id = 1\n" + OWNER + POOL, ("github", "app_id"), "without private_key_file"),
    ('[github]\nprivate_key_file = "k"\n' + OWNER + POOL, ("github", "private_key_file"), "without app_id"),
    ('[github]\napp_id = 0\nprivate_key_file = "k"\n' + OWNER + POOL, ("github", "app_id"), "settings page"),
    (GITHUB + "budget_percent = 0\n" + OWNER + POOL, ("github", "budget_percent"), "from 1 to 100"),
    (GITHUB + "budget_percent = nan\n" + OWNER + POOL, ("github", "budget_percent"), "from 1 to 100"),
    (GITHUB + "app_id = 1\n" + OWNER + POOL, ("github", "app_id"), "both set"),
    (GITHUB + 'api_url = "ftp://x"\n' + OWNER + POOL, ("github", "api_url"), "no http or https"),
    (
        GITHUB + 'ingest = "poll"\n' + '[[owner]]\nlogin = "acme"\n' + POOL,
        ("owner", 0, "repositories"),
        "a token does not tell",
    ),
    (GITHUB + "poll_seconds = 0\n" + OWNER + POOL, ("github", "poll_seconds"), "more than 0"),
    (GITHUB + "sweep_seconds = -1\n" + OWNER + POOL, ("github", "sweep_seconds"), "more than 0"),
    (GITHUB + "sweep_seconds = nan\n" + OWNER + POOL, ("github", "sweep_seconds"), "more than 0"),
    (GOOD + '[[owner]]\nlogin = "ACME"\nrepositories = ["ACME/b"]\n', ("owner", 1, "login"), "two [[owner]]"),
    (GOOD + POOL, ("pool", 1, "name"), "two [[pool]]"),
    (GOOD + '[[host]]\nname = "h"\n[[host]]\nname = "h"\n', ("host", 1, "name"), "two [[host]]"),
    (GITHUB + OWNER + '[[pool]]\nname = "p"\nlabels = []\n', ("pool", 0, "labels"), "no labels"),
    (GITHUB + OWNER + '[[pool]]\nname = "p"\nlabels = ["a", " "]\n', ("pool", 0, "labels"), "empty label"),
    (
        GITHUB + OWNER + f'[[pool]]\nname = "p"\nlabels = {[f"l{n}" for n in range(101)]}\n',
        ("pool", 0, "labels"),
        "101 labels",
    ),
    (GITHUB + OWNER + POOL + 'trust = "listed"\n', ("pool", 0, "trust"), "lists none"),
    (GITHUB + OWNER + POOL + "registration_minutes = 0\n", ("pool", 0, "registration_minutes"), "more than 0"),
    (
        GITHUB + POOL + '[[owner]]\nlogin = "acme"\nrepositories = ["app"]\n',
        ("owner", 0, "repositories"),
        '"acme/NAME"',
    ),
    (
        GITHUB + POOL + '[[owner]]\nlogin = "acme"\nrepositories = ["zeta/app"]\n',
        ("owner", 0, "repositories"),
        'not a repository of owner "acme"',
    ),
    (GOOD + '[[owner.repository]]\nname = "z/a"\n', ("owner", 0, "repository", 0, "name"), "not a repository of"),
    (GITHUB + POOL + OWNER + "weight = 0\n", ("owner", 0, "weight"), "more than 0"),
    (GITHUB + POOL + OWNER + "max_slots = -1\n", ("owner", 0, "max_slots"), "0 or more"),
    (GOOD + AGENT.replace('"linux"', '"windows"'), ("agent", "slots", 0, "pool"), "one of: linux"),
    (AGENT + "count = 0\n", ("agent", "slots", 0, "count"), "1 or more"),
    (AGENT.replace('["run.sh"]', "[]"), ("agent", "slots", 0, "command"), "command is empty"),
    (AGENT.replace("host-a", "-host"), ("agent", "name"), "cannot be a host's"),
    (AGENT.replace("host-a", "a/b"), ("agent", "name"), "cannot be a host's"),
    (AGENT.replace("host-a", "h" * 64), ("agent", "name"), "cannot be a host's"),
    ('[agent]\nname = "a"\nserver = "host:1"\n' + SLOTS, ("agent", "server"), "no http or https"),
    (AGENT + "[agent.disk]\nhard_percent = 20\n", ("agent", "disk"), "each must be lower"),
    (AGENT + "[agent.disk]\nsoft_percent = 101\n", ("agent", "disk", "soft_percent"), "from 0 to 100"),
    (AGENT + '[agent.disk]\nadmission_floor = "a lot"\n', ("agent", "disk", "admission_floor"), "no size"),
    (AGENT + "[agent.disk]\ncheckout_days = 2\n", ("agent", "disk", "checkout_days"), "6 or more"),
    (AGENT + "[agent.disk]\ncheckout_days = nan\n", ("agent", "disk", "checkout_days"), "6 or more"),
    (AGENT + IMAGES + "older_hours = 1\n", ("agent", "disk", "images", 0, "older_hours"), "24 or more"),
    (AGENT + IMAGES + 'older_hours = 48\npath = "docker"\n', ("agent", "disk", "images", 0, "path"), "keeps"),
    (AGENT + CACHE + 'path = "npm"\n', ("agent", "disk", "cache", 0, "path"), "one cache"),
    (AGENT + CACHE + 'path = "/var/../etc"\n', ("agent", "disk", "cache", 0, "path"), "one cache"),
    (AGENT + CACHE + 'path = "/var/"\n', ("agent", "disk", "cache", 0, "path"), "one cache"),
    (AGENT + CACHE + 'path = "/"\n', ("agent", "disk", "cache", 0, "path"), "one cache"),
    (AGENT + CACHE + 'path = "/c/npm"\nkind = "lru"\n', ("agent", "disk", "cache", 0, "kind"), "needs a cap"),
    (AGENT + CACHE + 'path = "/c/npm"\ncap = "much"\n', ("agent", "disk", "cache", 0, "cap"), "no size"),
    (AGENT + CACHE + 'path = "/c/npm"\ndepth = 0\n', ("agent", "disk", "cache", 0, "depth"), "1 to 8"),
    (AGENT + CACHE + 'path = "/c/npm"\nunused_hours = -1\n', ("agent", "disk", "cache", 0, "unused_hours"), "0 or"),
    (
        AGENT + CACHE + 'path = "/c/npm"\n' + CACHE + 'path = "/c"\n',
        ("agent", "disk", "cache", 1, "path"),
        "lie in each other",
    ),
]


@pytest.mark.parametrize(("text", "path", "said"), REFUSALS)
def test_refusals(text: str, path: tuple[str | int, ...], said: str) -> None:
    found = only(check(config_of(text)), Severity.REFUSED)
    assert [one.path for one in found] == [path]
    assert said in found[0].what
    assert found[0].what.endswith(".")
    assert "\n" not in found[0].what


TLS = 'tls_cert_file = "c.pem"\ntls_key_file = "k.pem"\n'
WARNINGS: list[tuple[str, tuple[str | int, ...]]] = [
    (f'[server]\npublic_url = "http://ci.example.org"\n{TLS}' + GOOD, ("server", "public_url")),
    ('[server]\nblobs = "s3://b/p"\n' + GOOD, ("server", "blobs")),
    ('[server]\npublic_url = "https://ci.example.org"\n' + GOOD, ("server", "public_url")),
    ('[server]\npublic_url = "http://10.0.0.9:8470"\n' + GOOD, ("server", "public_url")),
    ('[server]\npublic_url = "https://localhost"\n' + GOOD, ("server", "public_url")),
    (GITHUB + 'api_url = "http://ghe.example.org/api/v3"\n' + OWNER + POOL, ("github", "api_url")),
    (GITHUB + POOL, ()),
    (GITHUB + OWNER, ()),
    (GITHUB + POOL + '[[owner]]\nlogin = "acme"\n', ("owner", 0)),
    (GITHUB + POOL + OWNER + "weight = 2\n", ("owner", 0, "weight")),
    (
        GOOD + '[[owner.repository]]\nname = "acme/app"\npriority = 1\n',
        ("owner", 0, "repository", 0, "priority"),
    ),
    (
        GOOD + '[[owner.repository]]\nname = "acme/app"\n[[owner.repository.lane]]\nname = "r"\n',
        ("owner", 0, "repository", 0, "lane", 0),
    ),
    (GOOD + '[pool.workspace]\nbase = "cargo"\n', ("pool", 0, "workspace", "base")),
    (GOOD + '[[pool.probe]]\nname = "x"\ncommand = ["x"]\n', ("pool", 0, "probe", 0)),
    (GOOD + 'repositories = ["acme/app"]\n', ("pool", 0, "repositories")),
    (GOOD + '[[host]]\nname = "h"\nreboot = ["reboot"]\n', ("host", 0, "reboot")),
    (GOOD + '[[bar]]\nname = "app"\n', ("bar", 0)),
    (AGENT.replace("[[agent", 'isolation = "required"\n[[agent', 1), ("agent", "isolation")),
    ('[agent]\nname = "a"\nserver = "http://10.0.0.1:8470"\n' + SLOTS, ("agent", "server")),
    ('[agent]\nname = "a"\n', ("agent",)),
]


@pytest.mark.parametrize(("text", "path"), WARNINGS)
def test_warnings(text: str, path: tuple[str | int, ...]) -> None:
    found = check(config_of(text))
    assert only(found, Severity.REFUSED) == []
    assert [one.path for one in found] == [path]


@pytest.mark.parametrize(
    "server",
    [
        'listen = "127.0.0.1:0"',
        'listen = "localhost:8470"',
        'listen = "[::1]:8470"',
        'listen = "0.0.0.0:8470"\nbehind_proxy = true',
        'listen = "0.0.0.0:443"\ntls_cert_file = "c"\ntls_key_file = "k"',
        'public_url = "https://ci.example.org/andon"\nbehind_proxy = true',
        'public_url = "http://localhost:8470"',
        f'public_url = "https://ci.example.org/andon"\n{TLS}',
        'database = "sqlite:////var/lib/andon/andon.db"',
    ],
)
def test_good_servers(server: str) -> None:
    assert check(config_of(f"[server]\n{server}\n{GOOD}")) == ()


def test_a_database_password_is_not_repeated() -> None:
    (found,) = check(config_of('[server]\ndatabase = "mysql://u:hunter2@h/d"\n' + GOOD))
    assert "hunter2" not in found.what


def test_an_agents_own_file_needs_no_pools_and_no_github() -> None:
    config = config_of('[server]\nagent_token_file = "enrol"\n' + AGENT)
    assert agent_only(config)
    assert check(config) == ()
    # The same file cannot start a control plane.
    assert ("github",) in [one.path for one in only(check_control_plane(config), Severity.REFUSED)]


def test_an_agent_does_not_judge_what_it_does_not_read() -> None:
    config = config_of('[server]\nlisten = "nonsense"\n' + AGENT)
    assert check_agent(config) == ()
    assert only(check(config), Severity.REFUSED)
