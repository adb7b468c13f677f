"""In which order queued jobs start: one number for each, given once, when it is submitted.

A job's ``rank`` is the moment at which it would be its turn if there were no
others: the lowest goes first, and of equal ones the one that came first. It
never changes, so that keeping the order costs nothing however long the queue
is, and nothing starves: who overtakes a job must have come before a moment
that its rank fixes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ci_common.clock import Moment

LOWEST_PRIORITY, HIGHEST_PRIORITY = -10, 10

_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Turn:
    """A job's place. All in microseconds, on a clock that only goes forward.

    ``arrived``: when it came. ``base``: when its turn is, regardless of its
    priority. ``rank``: when its turn is.
    """

    arrived: int
    base: int
    rank: int


@dataclass(frozen=True, slots=True)
class Latest:
    """The queued job that came last: when it ``arrived`` by the queue's clock and by the others."""

    arrived: int
    created: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRules:
    """What priority and patience are worth, in seconds.

    ``ageing``: how long a job waits to get past one of the next higher priority
    that has just come. ``share``: how far each unfinished job of a submitter
    puts the next one of the same submitter back; 0 for not at all. Where submitters
    share an organisation's turns it is that many times as far: so many of them get
    no more turns than one of another organisation.
    """

    ageing: float = 600.0
    share: float = 600.0

    def turn(
        self,
        *,
        priority: int,
        created: Moment,
        latest: Latest | None,
        own: Sequence[int] = (),
        sharers: int = 1,
    ) -> Turn:
        """Return the place of a job that comes now.

        ``latest`` is None when none is queued. ``own``: the bases of those
        unfinished jobs of its submitter that have at least its priority, or
        only the highest one. ``sharers``: how many submitters of its organisation have
        unfinished jobs, with this one; 1 where there are no organisations.
        """
        arrived = self._arrival(created, latest)
        share, step = _whole(self.share), _whole(self.ageing)
        # The first one of a submitter comes behind those of the others.
        first = arrived if own else arrived + share * (sharers - 1)
        base = max([first, *(each + share * sharers for each in own)])
        return Turn(arrived, base, base - priority * step)

    @staticmethod
    def _arrival(created: Moment, latest: Latest | None) -> int:
        if latest is None:
            return _whole(created.wall.timestamp())
        # Not the wall clock's own time: whoever sets that must not reorder what waits.
        return latest.arrived + _whole(created.seconds_since(latest.created))


def _whole(seconds: float) -> int:
    return round(seconds * _MICROSECONDS)
