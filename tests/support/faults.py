"""What the fault proxies have in common: rules that choose requests, and a switch that kills."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar

T = TypeVar("T")


class Fault(Enum):
    """What happens to a request."""

    DELAY = "delay"
    """It is passed on later."""
    DROP = "drop"
    """It is not passed on, and nobody ever answers."""
    RESET = "reset"
    """It is not passed on, and the connection is reset."""
    ERROR = "error"
    """It is not passed on; the answer says that the server failed (500, UNAVAILABLE)."""
    SLOW_DOWN = "slow down"
    """It is not passed on; the answer says that there are too many (503, rate limit)."""
    SHORT_BODY = "short body"
    """The answer's body ends in its middle."""
    WRONG_BODY = "wrong body"
    """One bit of an object is flipped, on its way in or out."""
    LOST_ANSWER = "lost answer"
    """It is passed on, and the connection is reset instead of an answer."""
    PRECONDITION_FAILED = "precondition failed"
    """It is not passed on; the answer says that its condition does not hold."""


@dataclass
class Rule:
    """A fault and the requests that get it.

    Attributes:
        fault: what they get.
        operations: names of the requests; empty for all.
        part: must be part of the key or name that a request is about.
        at: which of these requests, counted from 1; None for every one.
        probability: with which each of them gets it.
        seconds: how long a delay is at most; any time up to it.
        seen: how many requests the rule was asked about and was for.
    """

    fault: Fault
    operations: Collection[str] = ()
    part: str = ""
    at: Collection[int] | None = None
    probability: float = 1.0
    seconds: float = 0.0
    seen: int = 0

    def chooses(self, operation: str, subject: str, chance: random.Random) -> bool:
        """Tell whether a request gets the fault; counts it."""
        if (self.operations and operation not in self.operations) or self.part not in subject:
            return False
        self.seen += 1
        if self.at is not None and self.seen not in self.at:
            return False
        return self.probability >= 1 or chance.random() < self.probability


class Rules:
    """The rules of a proxy; the first that chooses a request decides.

    Attributes:
        injected: faults so far. A test of a fault asserts on it.
    """

    def __init__(self, seed: int = 0) -> None:
        """Begin without rules; `seed` decides all that is left to chance."""
        self.chance = random.Random(seed)
        self.injected: Counter[Fault] = Counter()
        self._rules: list[Rule] = []

    def add(
        self,
        fault: Fault,
        *operations: str,
        part: str = "",
        at: Collection[int] | None = None,
        probability: float = 1.0,
        seconds: float = 0.0,
    ) -> None:
        """Add a rule; see `Rule`."""
        self._rules.append(Rule(fault, operations, part, at, probability, seconds))

    def clear(self) -> None:
        """Let everything through again."""
        self._rules.clear()

    def choose(self, operation: str, subject: str) -> Rule | None:
        """Return the rule for a request, and count the fault."""
        for rule in self._rules:
            if rule.chooses(operation, subject, self.chance):
                self.injected[rule.fault] += 1
                return rule
        return None


class ServiceDead(BaseException):
    """The service was killed: nothing more of it is passed on. Nothing that it does may catch this."""


@dataclass
class KillSwitch:
    """Kills the service at the k-th mutation that the proxies, or the ports, see.

    Attributes:
        at: which mutation, counted from 1; 0 for none.
        after: let it happen first, and kill before the answer.
        kill: ends the service at once.
        seen: mutations so far, in the order in which they came.
        dead: whether it has killed.
    """

    at: int
    after: bool = False
    kill: Callable[[], None] = lambda: None
    seen: list[str] = field(default_factory=list)
    dead: bool = False

    @property
    def is_next(self) -> bool:
        """Whether the next mutation is the one."""
        return len(self.seen) + 1 == self.at and not self.dead

    async def around(self, mutation: str, act: Callable[[], Awaitable[T]]) -> T:
        """Let a mutation happen, or kill the service before or after it.

        Raises:
            ServiceDead: It is dead, so there is nobody to answer.
        """
        if self.dead:
            raise ServiceDead
        self.seen.append(mutation)
        if len(self.seen) != self.at:
            return await act()
        self.dead = True
        if not self.after:
            self.kill()
            raise ServiceDead
        try:
            await act()
        finally:
            self.kill()
        raise ServiceDead
