"""Jobs without a worker."""

import asyncio

from frame_forecast.viewer.jobs import _Record
from frame_forecast.viewer.schema import JobState


def test_a_job_that_ends_while_a_state_is_sent_tells_its_end() -> None:
    async def follow() -> list[str]:
        record = _Record(JobState(id="x", state="running", done=0, total=1, message="", error=None, result=None))
        seen = []
        async for state in record.changes():
            seen.append(state.state)
            record.change(state="done")
        return seen

    assert asyncio.run(follow()) == ["running", "done"]
