"""Jobs in a container, and steps that start one (R92, incidents P5 and P11).

A real agent as root, a slot of an ordinary user, real hooks and the real Action. An engine is played by
`tests/support/stub_engine.py`: a stub `docker` on PATH, user and mount namespaces behind it.
"""

import os
import pwd
import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from andon.model.wire import JobWord
from tests.support.stub_engine import StubEngine, why_not

ACTION = Path(__file__).parents[3] / "actions/workspace/export.sh"
EXPORT = {"CARGO_TARGET_DIR": "target", "CARGO_HOME": "caches/cargo"}
BEGIN = r"""
export RUNNER_NAME="$ANDON_RUNNER_NAME" GITHUB_REPOSITORY=acme/app GITHUB_RUN_ID=7 GITHUB_RUN_ATTEMPT=1
export GITHUB_JOB=build GITHUB_EVENT_NAME=push RUNNER_TEMP="$PWD/_work/_temp" GITHUB_WORKSPACE="$PWD/_work/app/app"
commands="$RUNNER_TEMP/_runner_file_commands"; export GITHUB_ENV="$commands/set_env_hook"
mkdir -p "$commands" "$RUNNER_TEMP/_github_home" "$PWD/_work/_actions" "$GITHUB_WORKSPACE"
for each in set_env_hook set_env_1 output_1; do : > "$commands/$each"; done
mkfifo go; exec 3<> go
set_env() {  # what the runner does with a step's file: NAME=value or NAME<<END lines
  while IFS= read -r line; do
    case $line in
      "") continue ;;
      *'<<'*) name=${line%%<<*}; end=${line#*<<}; value=
        while IFS= read -r line && [ "$line" != "$end" ]; do value+=${value:+$'\n'}$line; done ;;
      *) name=${line%%=*}; value=${line#*=} ;;
    esac
    export "$name=$value"; step_env+=(-e "$name=$value")
  done < "$1"
}
step_env=()
bash -e "$ACTIONS_RUNNER_HOOK_JOB_STARTED"
set_env "$GITHUB_ENV"
echo "$ANDON_WORKSPACE" > workspace; echo "${CARGO_TARGET_DIR:-none}" > exported; echo $$ > pid
"""
END = 'touch told; read -r _ <&3; bash -e "$ACTIONS_RUNNER_HOOK_JOB_COMPLETED"'
IN_A_CONTAINER = r"""
cp "$ACTION" _work/_actions/export.sh
docker create --name job --workdir /__w/app/app -v "$PWD/_work:/__w" -v "$PWD/_work/_temp:/__w/_temp" \
  -v "$PWD/_work/_temp/_github_home:/github/home" --entrypoint tail rust:1 -f /dev/null
docker start job
files=/__w/_temp/_runner_file_commands
docker exec -i --workdir /__w/app/app "${step_env[@]}" -e RUNNER_TEMP=/__w/_temp -e GITHUB_ENV=$files/set_env_1 \
  -e GITHUB_OUTPUT=$files/output_1 job sh /__w/_actions/export.sh
set_env "$commands/set_env_1"
docker exec -i --workdir /__w/app/app "${step_env[@]}" job sh -c '
  echo "$CARGO_TARGET_DIR" > /__w/_temp/said
  echo built > "$CARGO_TARGET_DIR/built"; mkdir "$CARGO_HOME/registry"; echo x > "$TMPDIR/left"
  if [ ! -e "$ANDON_WORKSPACE" ]; then echo "the path of the host is not to be seen" >> /__w/_temp/said; fi'
"""
FROM_A_STEP = r"""
docker run --rm --user "$(id -u):$(id -g)" -v "$CARGO_TARGET_DIR:/t" -v "$ANDON_WORKSPACE/caches:/caches" \
  -v "$CARGO_HOME:/home/.cargo" -v "$GITHUB_WORKSPACE:/source:ro" -w /source -e CARGO_TARGET_DIR=/t rust:1 \
  sh -c 'echo built > "$CARGO_TARGET_DIR/built"; mkdir /home/.cargo/registry; echo x > /caches/x
    touch /source/x || true'
"""
A_MISSING_SOURCE = """
docker run --rm -v "$ANDON_WORKSPACE/nobody-made/this:/x" rust:1 sh -c 'echo x > /x/x'
"""


@pytest.fixture
def owner() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


@pytest.fixture
def remap(request) -> bool:
    return getattr(request, "param", False)


@pytest.fixture
def engine(tmp_path, owner, remap) -> Iterator[StubEngine]:
    why = why_not()
    if why is not None:
        pytest.skip(f"{why}: no container was played")
    with StubEngine(tmp_path / "engine", remap=owner.pw_uid if remap else None) as one:
        yield one


@pytest.fixture
def begin(server, make_agent, engine, until, tmp_path, owner):
    """`begin(place, steps)`: a job whose steps have run, and that waits; the runner's folder."""

    def begin(place: str, steps: str) -> Path:
        server.policy = {
            "public_url": "https://board.example",
            "workspaces": {"p": {"place": place, "export": EXPORT}},
        }
        (tmp_path / "job.sh").write_text(f"{BEGIN}{steps}{END}")
        (tmp_path / "export.sh").write_bytes(ACTION.read_bytes())
        exports = f"export PATH='{engine.bin}:{os.environ['PATH']}' ACTION='{tmp_path}/export.sh'"
        listener = f"exec -a Runner.Listener bash -c '(exec -a Runner.Worker bash {tmp_path}/job.sh); true'"
        agent = make_agent(command=["bash", "-c", f"{exports}; {listener}"], user=owner.pw_name)
        for folder in (agent.folder, *agent.folder.parents):
            if stat.S_IMODE(folder.stat().st_mode) & 0o001 == 0:
                folder.chmod(0o711)
        agent.start()
        server.until(lambda: server.slots, "slots")
        server.claim("c1")
        until(lambda: any((one.folder / "runner" / "told").exists() for one in agent.held()), "the steps have run")
        return agent.one("c1").folder / "runner"

    return begin


def over(server, name: str) -> None:
    server.runs, server.jobs = {"7": "completed"}, {name: JobWord(id=1, conclusion="success")}
    server.tell()


@pytest.mark.parametrize("remap", [True], indirect=True)
def test_a_job_in_a_container_writes_to_its_workspace_which_stays_as_long_as_the_container(
    server, engine, begin, owner, until
):
    runner = begin("work", IN_A_CONTAINER)
    workspace = Path((runner / "workspace").read_text().strip())
    assert (runner / "exported").read_text() == "none\n", "on the host nobody can tell where steps run"
    assert (runner / "_work/_temp/said").read_text().splitlines() == [
        f"/__w/_andon/{workspace.name}/target",
        "the path of the host is not to be seen",
    ]
    written = [workspace / "target/built", workspace / "caches/cargo/registry", workspace / "tmp/left"]
    assert {path.stat().st_uid for path in written} == {owner.pw_uid}
    assert engine.made == [] and [call[0] for call in engine.calls] == ["create", "start", "exec", "exec"]
    # The job's process goes by force, and its run is over. The engine's container knows nothing of that.
    os.kill(int((runner / "pid").read_text()), signal.SIGKILL)
    over(server, workspace.name)
    server.until(
        lambda: (
            [(one.state, any("mounted at /__w" in why for why in one.held_by)) for one in server.leases]
            == [("draining", True)]
        ),
        "held by the container's mount alone",
    )
    assert (workspace / "target/built").exists()
    engine.remove("job")

    def gone() -> bool:
        server.tell()
        return server.leases == ()

    until(gone, "the workspace is gone after the container")
    assert not workspace.exists()


def test_what_a_step_mounts_is_there_before_and_is_the_jobs(server, engine, begin, owner, until):
    runner = begin("root", FROM_A_STEP)
    workspace = Path((runner / "workspace").read_text().strip())
    call = engine.calls[0]
    assert call[:5] == ["run", "--rm", "--user", f"{owner.pw_uid}:{owner.pw_gid}", "-v"]
    assert f"{workspace}/target:/t" in call and f"{workspace}/caches/cargo:/home/.cargo" in call
    assert engine.made == [], "an engine makes a missing source as root"
    sources = {workspace / "target", workspace / "caches", workspace / "caches/cargo"}
    assert {engine.owners[str(source)] for source in sources} == {owner.pw_uid}
    written = [workspace / "target/built", workspace / "caches/cargo/registry", workspace / "caches/x"]
    assert {path.stat().st_uid for path in written} == {owner.pw_uid}
    assert not (runner / "_work/app/app/x").exists(), "mounted for reading only"


def test_what_an_engine_made_as_root_goes_with_the_workspace(server, engine, begin, until):
    """A source that nobody made: the incident itself (P5), and what is left of it does not outlive its run."""
    runner = begin("root", A_MISSING_SOURCE)
    workspace = Path((runner / "workspace").read_text().strip())
    assert engine.made == [f"{workspace}/nobody-made/this"]
    assert (workspace / "nobody-made/this/x").stat().st_uid == (workspace / "nobody-made").stat().st_uid == 0
    (runner / "go").write_text("on\n")
    server.until_end("c1")
    over(server, workspace.name)

    def gone() -> bool:
        server.tell()
        return server.leases == () and not workspace.exists()

    until(gone, "the workspace is gone")


def examples() -> list[dict[str, object]]:
    """The jobs of the workflows in docs/workspaces.md."""
    page = (Path(__file__).parents[3] / "docs/workspaces.md").read_text()
    return [yaml.safe_load(block)["jobs"]["build"] for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]


def test_the_workflows_in_the_docs_are_whole():
    in_a_container, from_a_step = examples()
    assert in_a_container["container"] and "container" not in from_a_step
    uses = [step["uses"] for step in in_a_container["steps"] if "uses" in step]
    assert uses[1].partition("@")[0].endswith("/andon/actions/workspace") and (ACTION.parent / "action.yml").exists()
    assert any("docker run" in step.get("run", "") for step in from_a_step["steps"])


@pytest.mark.parametrize("where", ["root", "work"])
def test_the_docs_step_works_as_it_stands_in_either_place(engine, begin, owner, where):
    """Only what the container runs is exchanged: there is no image to take cargo from."""
    script = next(step["run"] for step in examples()[1]["steps"] if "run" in step)
    assert script.rstrip().endswith("rust:1 cargo build")
    runner = begin(where, script.replace("cargo build", """sh -c 'pwd > "$CARGO_TARGET_DIR/built"'"""))
    built = Path((runner / "workspace").read_text().strip()) / "target/built"
    assert built.read_text() == "/source\n" and built.stat().st_uid == owner.pw_uid
    assert engine.made == []
