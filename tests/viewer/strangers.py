"""How strangers speak to the server, and how they are answered."""

from served import Answer

JSON, FRAMES = {"Content-Type": "application/json"}, {"Content-Type": "application/x-frames"}


def refused(answer: Answer, *statuses: int) -> None:
    """Asserts a status and the three parts of a message, none of which tells where the server keeps its files."""
    assert answer.status in statuses, answer
    assert set(answer.json) == {"given", "expected", "next_step"}, answer
    assert all(isinstance(part, str) and part for part in answer.json.values()), answer
    assert "/tmp" not in answer.body.decode(), answer
