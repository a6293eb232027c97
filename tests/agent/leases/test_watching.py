"""The end of a job's process is told by the kernel, also when it ended just before."""

import asyncio

from andon.agent.leases.watching import LeaseWatch


def test_an_end_is_told_once_whether_it_comes_or_came(make_record, sleeper):
    job, gone = sleeper(), sleeper()
    records = [make_record("live", pid=job.pid), make_record("gone", pid=gone.pid), make_record("fresh")]
    gone.kill()
    gone.wait()

    async def run() -> list[int]:
        told: list[int] = []
        news = asyncio.Event()

        def ended() -> None:
            told.append(len(told))
            news.set()

        watch = LeaseWatch(ended)
        counts: list[int] = []
        watch.keep(records)
        counts.append(len(told))
        watch.keep(records)
        counts.append(len(told))
        news.clear()
        job.kill()
        await asyncio.wait_for(news.wait(), 20)
        job.wait()
        watch.keep([records[2]])
        counts.append(len(told))
        watch.close()
        return counts

    assert asyncio.run(run()) == [1, 1, 2]
