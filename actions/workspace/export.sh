# Finds the job's workspace as this step sees it, and exports the variables of its table.
# Exit code 0 also without a workspace: the job then builds where it always did, and the log says so.
set -eu

say() { printf 'Andon: %s\n' "$1"; }

id=${ANDON_WORKSPACE_ID:-}
case $id in
    "" | *[!a-z0-9-]*) say "this job has no workspace; nothing is exported"; exit 0 ;;
esac

# Where the runner's _work is for this step: beside RUNNER_TEMP, which the runner names as the step
# sees it. In a job container that is /__w/_temp.
work=$(dirname "${RUNNER_TEMP:-/__w/_temp}")
found=
for place in "$work/_andon/$id" "/__w/_andon/$id" "${ANDON_WORKSPACE:-}"; do
    if [ -n "$place" ] && [ -d "$place" ]; then
        found=$place
        break
    fi
done
if [ -z "$found" ]; then
    say "the workspace cannot be seen from this container; nothing is exported. Set place = \"work\" for the pool."
    exit 0
fi

table=${ANDON_ACTION_EXPORT:-${ANDON_WORKSPACE_EXPORT:-}}
printf '%s\n' "$table" | while IFS= read -r line; do
    name=${line%%=*}
    sub=${line#*=}
    case $line in "") continue ;; *=*) ;; *) say "no NAME=sub-directory: left out"; continue ;; esac
    case $name in
        "" | [0-9]* | *[!A-Za-z0-9_]* | GITHUB_* | RUNNER_* | ACTIONS_*) say "no name of a variable: left out"; continue ;;
    esac
    case "/$sub/" in
        //* | */../* | *[!A-Za-z0-9._/-]*) say "$name: its sub-directory leads out of the workspace: left out"; continue ;;
    esac
    mkdir -p "$found/$sub" || { say "$name: its sub-directory cannot be made: left out"; continue; }
    printf '%s=%s\n' "$name" "$found/$sub" >> "$GITHUB_ENV"
    say "$name=$found/$sub"
done
printf 'path=%s\n' "$found" >> "$GITHUB_OUTPUT"
