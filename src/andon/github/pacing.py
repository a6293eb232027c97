"""GitHub's secondary limits, kept by ourselves: points a minute and endpoint, content a minute and hour.

Pure state over monotonic seconds. What is remembered is bounded: one number for each second.
"""

from collections import deque

POINTS_A_MINUTE = 900
GRAPHQL_POINTS_A_MINUTE = 2_000
CONTENT_A_MINUTE = 80
CONTENT_AN_HOUR = 500
"""All of contract section 5. GitHub counts by arrival, we by sending: a window is a second longer."""
MINUTE = 61.0
HOUR = 3_601.0


class Window:
    """At most `most` points in any `seconds`."""

    def __init__(self, most: int, seconds: float) -> None:
        self.most = most
        self._seconds = seconds
        self._spent: deque[tuple[float, int]] = deque()
        """The second of sending, and the points of that second."""
        self._sum = 0

    def free_at(self, points: int, now: float) -> float:
        """From when on `points` more fit; `now` or earlier: at once."""
        self._forget(now)
        missing = self._sum + points - self.most
        if missing <= 0:
            return now
        for second, spent in self._spent:
            missing -= spent
            if missing <= 0:
                return second + 1 + self._seconds
        return now + self._seconds

    def spend(self, points: int, now: float) -> None:
        """Counts what is sent now."""
        self._forget(now)
        second = float(int(now))
        if self._spent and self._spent[-1][0] >= second:
            last, spent = self._spent.pop()
            self._spent.append((last, spent + points))
        else:
            self._spent.append((second, points))
        self._sum += points

    def _forget(self, now: float) -> None:
        while self._spent and self._spent[0][0] + 1 + self._seconds <= now:
            self._sum -= self._spent.popleft()[1]


class Pacing:
    """The secondary limits of one credential."""

    def __init__(self) -> None:
        self._endpoints: dict[str, Window] = {}
        self._content = (Window(CONTENT_A_MINUTE, MINUTE), Window(CONTENT_AN_HOUR, HOUR))

    def free_at(self, endpoint: str, points: int, content: bool, now: float) -> float:
        """From when on this call keeps the limits; `now` or earlier: at once."""
        windows = self._content if content else ()
        return max(self._window(endpoint).free_at(points, now), *(each.free_at(1, now) for each in windows), now)

    def spend(self, endpoint: str, points: int, content: bool, now: float) -> None:
        """Counts a call that is sent now."""
        self._window(endpoint).spend(points, now)
        for each in self._content if content else ():
            each.spend(1, now)

    def _window(self, endpoint: str) -> Window:
        """By endpoint: its names are path templates, so there are few."""
        found = self._endpoints.get(endpoint)
        if found is None:
            most = GRAPHQL_POINTS_A_MINUTE if endpoint.endswith("/graphql") else POINTS_A_MINUTE
            found = self._endpoints[endpoint] = Window(most, MINUTE)
        return found


def points_of(method: str, *, graphql: bool) -> int:
    """What GitHub counts for a call; our GraphQL calls only read."""
    return 1 if graphql or method in ("GET", "HEAD", "OPTIONS") else 5
