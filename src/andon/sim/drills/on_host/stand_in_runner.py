"""A runner's processes as the agent and its hooks see them: a listener, above it the job's process, which calls the
hooks and runs one step with what they exported. What it runs comes in the place of a JIT config."""

import base64
import shlex
from collections.abc import Mapping

_SCRIPT = r"""
eval "$(printf %s "$ACTIONS_RUNNER_INPUT_JITCONFIG" | base64 -d)"
export RUNNER_NAME="$ANDON_RUNNER_NAME" GITHUB_ENV="$PWD/env" GITHUB_PATH="$PWD/path"
: > "$GITHUB_ENV"; : > "$GITHUB_PATH"
cat > take_exports.sh << 'END'
while IFS= read -r line; do
  case "$line" in *"<<"*) ;; *) continue ;; esac
  name="${line%%<<*}" end="${line#*<<}" value="" gap=""
  while IFS= read -r more && [ "$more" != "$end" ]; do value="$value$gap$more" gap=$'\n'; done
  export "$name=$value"
done < "$GITHUB_ENV"
END
printf %s "$STEP" > step.sh
[ -z "$WAITS" ] || { printf '%s\n' "$PWD" > "$DRILL/$STORY.here"; read -r line < "$DRILL/$STORY.go"; }
exec -a Runner.Listener bash -c '
  (exec -a Runner.Worker bash -c "
    bash -e \"\$ACTIONS_RUNNER_HOOK_JOB_STARTED\"
    ( . ./take_exports.sh; exec bash -e ./step.sh ); echo \$? > \"\$DRILL/\$STORY.result\"
    bash -e \"\$ACTIONS_RUNNER_HOOK_JOB_COMPLETED\"
    touch \"\$DRILL/\$STORY.over\"")
  [ -z "$LINGERS" ] || read -r line < "$DRILL/$STORY.leave"
'
"""
COMMAND = ("bash", "-c", _SCRIPT)


def job(step: str, variables: Mapping[str, str]) -> str:
    """What stands in the place of the JIT config: the variables of the job, and its one step, bash."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in {**variables, "STEP": step}.items()]
    return base64.b64encode("\n".join(lines).encode()).decode()
