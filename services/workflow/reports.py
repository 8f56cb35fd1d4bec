"""What operations learn of cases: time that is used up, and how cases went, one by one and by machine model."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel

from services.workflow.domain.reliability import Sums
from shared.contracts.catalogue import OPS_RELIABILITY, OPS_SLA, Topic
from shared.contracts.envelope import Incoming, Message, message
from shared.contracts.fields import rfc3339
from shared.contracts.ids import derived_id
from shared.contracts.measures import (
    CASE_RELIABILITY,
    MODEL_RELIABILITY,
    SLA,
    CaseMeasures,
    Mean,
    ModelReliability,
    Reliability,
    SlaShare,
    month_of,
)
from shared.contracts.words import Waiting
from shared.errors import UnknownSchema
from shared.flow import Decision, Room

SOURCE: Final = "/callout/workflow"
SCHEMA: Final = 1
MONTHS_MAX: Final = 24
OF_CASES: Final = OPS_RELIABILITY.only(CASE_RELIABILITY)
OF_MODELS: Final = OPS_RELIABILITY.only(MODEL_RELIABILITY)


def report_message(report: SlaShare | CaseMeasures, incoming: Incoming) -> Message:
    """Return what is told of a case when one of its commands is decided."""
    if isinstance(report, SlaShare):
        place = (report.clock, report.percent, rfc3339(report.started_at))
        return _message(OPS_SLA, SLA, report, incoming, derived_id("sla", report.case_id, *place, incoming.place))
    id_ = derived_id("reliability", report.case_id, report.end or "reopened", incoming.place)
    return _message(OPS_RELIABILITY, CASE_RELIABILITY, report, incoming, id_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the cases of one machine model came to: since ever, and by month, the latest ones."""

    tenant_id: str
    model: str
    at: datetime
    total: Sums = field(default_factory=Sums)
    months: dict[str, Sums] = field(default_factory=dict)

    def plus(self, case: CaseMeasures) -> "Figures":
        """Return the figures with what became of one more case."""
        month = month_of(case.at)
        months = self.months | {month: self.months.get(month, Sums()).plus(case)}
        kept = sorted(months)[-MONTHS_MAX:]
        latest = max(self.at, case.at)
        return replace(self, at=latest, total=self.total.plus(case), months={name: months[name] for name in kept})


class Machines(Room[Figures]):
    """What became of cases, summed by machine model.

    Any partition may write a model's document, so sums may be told out of order: an older one after a newer. The
    partition on which they lie hears them, and tells the newest again wherever an older one came after it.
    """

    topic = OPS_RELIABILITY
    tells = (OF_MODELS,)
    service = "workflow"

    def key(self, incoming: Incoming) -> str:
        """Return the document of the case's machine model."""
        return f"{incoming.data.tenant_id}|{incoming.data.model}"

    def decide(
        self,
        incoming: Incoming,
        own: Figures | None,
        guide: Figures | None,  # noqa: ARG002
    ) -> Decision[Figures]:
        """Add one case to the sums; have them told again if what was told of them is behind."""
        if isinstance(heard := incoming.data, ModelReliability):
            return Decision(own=own if own is not None and own.total.ends > _ends(heard.total) else None)
        case: CaseMeasures = heard
        return Decision(own=(own or Figures(tenant_id=case.tenant_id, model=case.model, at=case.at)).plus(case))

    def settle(self, own: Figures, last: Incoming) -> tuple[Figures, Sequence[Message]]:
        """Tell what a batch made of the sums, once."""
        body = told(own)
        id_ = derived_id("reliability", own.tenant_id, own.model, last.place)
        return own, [_message(OPS_RELIABILITY, MODEL_RELIABILITY, body, last, id_)]

    def from_document(self, document: dict[str, Any]) -> Figures:
        """Read figures from their document.

        Raises:
            UnknownSchema: if a newer version wrote it.
        """
        if document["schema"] != SCHEMA:
            raise UnknownSchema(f"figures {document['_id']} have schema {document['schema']}, known is {SCHEMA}")
        months = {entry.pop("month"): _read(entry) for entry in document["months"]}
        return Figures(
            tenant_id=document["tenant_id"],
            model=document["model"],
            at=document["at"],
            total=_read(document["total"]),
            months=months,
        )

    def to_document(self, state: Figures) -> dict[str, Any]:
        """Write figures down."""
        months = [{"month": month, **_written(sums)} for month, sums in state.months.items()]
        document = {"schema": SCHEMA, "tenant_id": state.tenant_id, "model": state.model, "at": state.at}
        return document | {"total": _written(state.total), "months": months}


def told(figures: Figures) -> ModelReliability:
    """Return figures as they are told, as of the latest end of a case."""
    month = month_of(figures.at)
    return ModelReliability(
        tenant_id=figures.tenant_id,
        model=figures.model,
        at=figures.at,
        total=_reliability(figures.total),
        month=month,
        in_month=_reliability(figures.months.get(month, Sums())),
    )


def _reliability(sums: Sums) -> Reliability:
    means = {
        name: Mean(count=count, total_seconds=round(total, 3), mean_seconds=round(total / count, 3))
        for name, (count, total) in sums.times.items()
    }
    return Reliability(
        closed=sums.closed,
        cancelled=sums.cancelled,
        reopened=sums.reopened,
        reopen_rate=round(sums.reopened / sums.closed, 4) if sums.closed else None,
        mean=means,
        waiting_seconds={Waiting(who): round(seconds, 3) for who, seconds in sums.waiting.items()},
        **sums.promises,
    )


def _ends(told_: Reliability) -> int:
    return told_.closed + told_.cancelled + told_.reopened


def _written(sums: Sums) -> dict[str, Any]:
    return asdict(sums) | {"times": {name: list(pair) for name, pair in sums.times.items()}}


def _read(document: dict[str, Any]) -> Sums:
    return Sums(**document | {"times": {name: (count, total) for name, (count, total) in document["times"].items()}})


def _message(topic: Topic, type_: str, body: BaseModel, incoming: Incoming, id_: str) -> Message:
    tenant_id: str = getattr(body, "tenant_id")  # noqa: B009 - every body here has it
    return message(
        topic,
        type_=type_,
        id_=id_,
        source=SOURCE,
        time=incoming.now,
        value=body.model_dump_json(exclude_none=True).encode(),
        key=topic.key_of(body),
        tenant=tenant_id,
        subject=getattr(body, "case_id", None),
        cause_id=incoming.id,
        traceparent=incoming.traceparent,
    )
