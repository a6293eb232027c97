"""`andon config check`: everything that is wrong with a configuration file, and the files it names."""

import sys

from andon.cli.configuration import Placed, config_path, findings_of
from andon.cli.exits import FINDING, FINE, UNUSABLE
from andon.cli.options import ConfigFile, DataFolder, Json
from andon.cli.output import print_json
from andon.rules.config_finding import Severity


def config_check(*, config: ConfigFile = None, data: DataFolder = None, json: Json = False) -> int:
    """Say everything that is wrong. Exit code 1: usable with warnings; 2: refused."""
    path = config_path(config)
    _, findings = findings_of(path, data)
    refused = [one for one in findings if one.finding.severity is Severity.REFUSED]
    if json:
        print_json({"file": str(path), "usable": not refused, "findings": [_shown(one) for one in findings]})
    else:
        for one in findings:
            if one.finding.severity is Severity.REFUSED:
                sys.stderr.write(f"andon: {one}\n")
            else:
                sys.stdout.write(f"{one.file}:{one.line}: warning: {one.finding.what}\n")
        if not findings:
            sys.stdout.write(f"{path}: fine\n")
    if refused:
        return UNUSABLE
    return FINDING if findings else FINE


def _shown(one: Placed) -> dict[str, object]:
    key = ".".join(str(part) for part in one.finding.path)
    return {"severity": one.finding.severity, "line": one.line, "key": key, "what": one.finding.what}
