"""GitHub's endpoints for what there is: repositories of an organisation, the site's own facts."""

from andon.sim.sandbox.endpoint import Asked, Endpoint, Reply, Who, page_of
from andon.sim.sandbox.github import SandboxGitHub
from andon.sim.sandbox.records import Repository
from andon.sim.sandbox.repository_json import repository_json

_OWN_ADDRESSES = ("127.0.0.0/8", "::1/128")


def place_endpoints(sandbox: SandboxGitHub) -> list[Endpoint]:
    """Repositories of an organisation that the caller may see, and `GET /meta`."""

    def repositories(asked: Asked) -> Reply:
        org = sandbox.runners.known_scope(asked.path["org"])
        found = [
            repository
            for repository in sandbox.world.repositories.values()
            if repository.owner_key == org and _sees(asked, repository)
        ]
        kinds = {"private": True, "public": False}
        if (wanted := asked.query.get("type")) in kinds:
            found = [repository for repository in found if repository.private is kinds[wanted]]
        return page_of(asked, found, None, lambda repository: repository_json(repository, asked.base_url))

    def meta(asked: Asked) -> Reply:
        here = [*_OWN_ADDRESSES]
        return Reply(body={"verifiable_password_authentication": False, "hooks": here, "api": here, "actions": here})

    return [
        Endpoint(method="GET", template="/orgs/{org}/repos", answer=repositories, permission="metadata:read"),
        Endpoint(method="GET", template="/meta", answer=meta, who=Who.OPEN),
    ]


def _sees(asked: Asked, repository: Repository) -> bool:
    caller = asked.caller
    if not repository.private or caller is None:
        return True
    if caller.installation is not None and not caller.installation.covers(repository):
        return False
    return caller.repositories is None or repository.key in caller.repositories
