"""Logging: events named `noun.verb`, JSON in service, readable in a terminal, secrets hidden."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Protocol

import structlog

from andon.runtime.redaction import redact_fields


class Logger(Protocol):
    """What rooms need of a logger: an event name and its facts."""

    def info(self, event: str, **facts: Any) -> Any: ...
    def warning(self, event: str, **facts: Any) -> Any: ...
    def error(self, event: str, **facts: Any) -> Any: ...
    def exception(self, event: str, **facts: Any) -> Any: ...


def _hide(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return redact_fields(dict(event))


def set_up_logging(*, program: str) -> None:
    """Sends our events to standard error; standard output belongs to the ready line and results."""
    pretty = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _hide,
            structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(program=program)
    # Libraries speak through the standard module; only their warnings concern an operator.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")


def logger(name: str) -> Logger:
    """A logger whose events carry `name`, the part of the program that speaks."""
    return structlog.get_logger().bind(part=name)
