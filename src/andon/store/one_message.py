"""Two statements to PostgreSQL in one message: a way to the server and back costs as much as a small
statement does. Below `store.driver`, for the writing half of a round of dispatch.
"""

import select
from collections.abc import Sequence

from psycopg import OperationalError
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGconn, PGresult


def ask_both(pgconn: PGconn, words: bytes, prepared: bytes, values: Sequence[bytes]) -> list[PGresult]:
    """Runs `words`, a statement without values, and then the statement prepared as `prepared`, unless
    that failed; gives all answers. Raises OperationalError when the connection is lost."""
    pgconn.enter_pipeline_mode()
    try:
        pgconn.send_query_params(words, None)
        pgconn.send_query_prepared(prepared, values)
        pgconn.pipeline_sync()
        return _answers(pgconn)
    finally:
        if pgconn.status == ConnStatus.OK:
            pgconn.exit_pipeline_mode()


def _answers(pgconn: PGconn) -> list[PGresult]:
    """All answers to the message. Waiting for them leaves the interpreter to other threads."""
    waiting = select.poll()
    waiting.register(pgconn.socket, select.POLLIN | select.POLLOUT)
    while pgconn.flush():
        waiting.poll()
        pgconn.consume_input()
    waiting.modify(pgconn.socket, select.POLLIN)
    answers: list[PGresult] = []
    while True:
        while pgconn.is_busy():
            waiting.poll()
            pgconn.consume_input()
        answer = pgconn.get_result()
        if answer is None:
            # Between two statements, and for good where the connection is lost.
            if pgconn.status == ConnStatus.BAD:
                raise OperationalError(pgconn.get_error_message())
        elif answer.status == ExecStatus.PIPELINE_SYNC:
            return answers
        else:
            answers.append(answer)
