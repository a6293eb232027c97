"""The pages for people: board, queue, jobs, hosts, disks, their live stream and their files."""

from starlette.routing import BaseRoute, Route

from andon.web.board import board, queue
from andon.web.disk_page import disk_page
from andon.web.host_page import host_page
from andon.web.html_answers import page
from andon.web.incident_page import incident_page
from andon.web.job_page import job_page
from andon.web.live import live
from andon.web.sign_in import sign_in, signed_in
from andon.web.static_files import static_file

PAGES: tuple[BaseRoute, ...] = (
    Route("/", page(board), methods=["GET"]),
    Route("/queue", page(queue), methods=["GET"]),
    Route("/incidents", page(incident_page), methods=["GET"]),
    Route("/disk", page(disk_page), methods=["GET"]),
    Route("/jobs/{id}", page(job_page), methods=["GET"]),
    Route("/hosts/{name}", page(host_page), methods=["GET"]),
    Route("/live", live, methods=["GET"]),
    Route("/sign-in", signed_in, methods=["GET"]),
    Route("/sign-in", sign_in, methods=["POST"]),
    Route("/static/{digest}/{name}", static_file, methods=["GET"]),
)
