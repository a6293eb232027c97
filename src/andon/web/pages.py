"""The pages for people (placeholder until the board is drawn)."""

from starlette.routing import BaseRoute

PAGES: tuple[BaseRoute, ...] = ()
