"""Commands to one case, one after the other; the case as it is after the last."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.gateway.domain.access import Identity, may_give
from services.gateway.domain.profiles import NoWay, Order
from services.gateway.domain.view import CaseView
from services.gateway.http.bodies import refusal
from services.gateway.http.commands import Answer
from services.gateway.http.doors import Doors
from services.gateway.http.problems import STATUS, Problem
from shared.contracts.ids import derived_id


class Pending(Exception):
    """A command was sent, and what became of it is not known in time; `done` were accepted before it."""

    def __init__(self, answer: Answer, done: Sequence[str]) -> None:
        super().__init__(f"{answer.command_id} is not decided yet")
        self.answer = answer
        self.done = tuple(done)


@dataclass(frozen=True, slots=True)
class Given:
    """What all commands left: the case, as the sender sees it, and the answer to the last."""

    view: CaseView | None
    last: Answer | None


def checked(who: Identity, orders: Sequence[Order] | NoWay) -> Sequence[Order]:
    """Return commands that somebody may give, all of them.

    Raises:
        Problem: there are none that lead where they should, or the role may not give one of them.
    """
    if isinstance(orders, NoWay):
        raise Problem(orders.code.value, orders.message, status=STATUS.get(orders.code.value, 409))
    for order in orders:
        if not may_give(who, order.command):
            raise Problem("forbidden", f"The role {who.role} may not give `{order.command}`, which this needs.")
    return orders


async def give(
    doors: Doors, who: Identity, view: CaseView | None, orders: Sequence[Order] | NoWay, key: str | None
) -> Given:
    """Give commands in order; none is sent if the role may not give all of them.

    With a key, the same commands given again take effect once.

    Raises:
        Problem: one was refused; `done` tells those before it.
        Pending: one was not decided in time.
    """
    orders = checked(who, orders)
    done: list[str] = []
    answer: Answer | None = None
    case_id = view.case_id if view else None
    for number, order in enumerate(orders):
        step = derived_id("step", key, number, order.command) if key else None
        answer = await doors.desk.send(who, case_id, order.command, order.arguments, idempotency_key=step)
        if answer.status == "pending":
            raise Pending(answer, done)
        if not answer.accepted:
            problem = refusal(answer, conditional=False)
            if done:
                problem.facts["done"] = list(done)
            raise problem
        done.append(order.command)
        view, case_id = answer.view or view, answer.case_id or case_id
    return Given(view, answer)
