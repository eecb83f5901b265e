"""A few hundred requests of every kind; ``make test-faults`` asks 50,000."""

from fuzz import check_answer, requests
from hypothesis import HealthCheck, given, settings
from serving import Request, Worker


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(request=requests)
def test_any_request_is_answered(worker: Worker, request: Request) -> None:
    [answer] = worker.ask(request)
    check_answer(answer)
