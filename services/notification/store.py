"""How deliveries and lanes are written down, and how work is taken from among them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from services.notification.domain.delivery import Delivery, DeliveryState
from services.notification.domain.planning import Reaction
from services.notification.domain.sending import Lane
from shared.contracts.words import NoticeChannel, NoticeTopic
from shared.errors import UnknownSchema
from shared.storage import Database
from shared.view_storage import Find, Index
from shared.work_storage import Change, WorkCollection

SCHEMA: Final = 1
KEPT_SECONDS: Final = 14 * 24 * 3600
"""How long what is done is kept; what a delivery said goes as soon as it is sent."""
IDLE_SECONDS: Final = 90 * 24 * 3600
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
WAITING: Final = DeliveryState.WAITING.value
_OPTIONAL: Final = ("case_id", "owner_id", "number", "code", "reason", "folded_into", "done_at")
_INDEXES: Final = (
    Index(name="lane", fields=("lane", "state", "due_at")),
    Index(name="case", fields=("case_id", "state")),
    Index(name="recipient", fields=("tenant_id", "recipient", "state")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A lane that this process works on until `until`; `wakes` as it was then."""

    lane: Lane
    token: str
    wakes: int
    until: datetime


class Deliveries:
    """The collections `deliveries` and `lanes`."""

    def __init__(self, database: Database) -> None:
        self._deliveries = WorkCollection(database, "deliveries")
        self._lanes = WorkCollection(database, "lanes")

    async def start(self) -> None:
        """Make sure that the indexes exist."""
        await self._deliveries.make_indexes(_INDEXES)
        await self._deliveries.expire("done_at", KEPT_SECONDS)
        await self._lanes.make_indexes([Index(name="due", fields=("due_at",)), Index(name="token", fields=("token",))])
        await self._lanes.expire("used_at", IDLE_SECONDS)
        await self._deliveries.mark("untold")

    async def stop(self) -> None:
        """Need nothing."""

    async def decide(self, deliveries: Sequence[Delivery], reactions: Sequence[Reaction]) -> None:
        """Write down what was decided; what is there already stays. Then wake the lanes, then heed reactions."""
        if deliveries:
            await self._deliveries.insert_new([to_document(each) for each in deliveries])
            await self._lanes.change(_wakes(deliveries))
        if reactions:
            await self._deliveries.change([_cancelled(each) for each in reactions])

    async def claim(self, number: int, *, now: datetime, seconds: float, token: str) -> list[Claim]:
        """Take lanes that have something due and nobody at work, those first that are longest due."""
        until = now + timedelta(seconds=seconds)
        due = {"due_at": {"$lte": now}, "blocked_until": {"$lte": now}, "leased_until": {"$lte": now}}
        found = await self._lanes.find(Find(conditions=due, order=[("due_at", 1)], limit=number))
        if not found:
            return []
        await self._lanes.change(
            [
                Change(
                    conditions={"_id": lane["_id"], "leased_until": lane["leased_until"]},
                    sets={"leased_until": until, "token": token, "used_at": now},
                )
                for lane in found
            ]
        )
        mine = await self._lanes.find(Find(conditions={"token": token}))
        return [Claim(lane=_lane(each), token=token, wakes=each["wakes"], until=until) for each in mine]

    async def waiting(self, lane_id: str, *, now: datetime, limit: int) -> list[Delivery]:
        """Return what is due on a lane, in order of that, and what goes along with it though it is not due yet."""
        of_lane = {"lane": lane_id, "state": WAITING}
        order = [("due_at", 1)]
        due = await self._deliveries.find(
            Find(conditions=of_lane | {"due_at": {"$lte": now}}, order=order, limit=limit)
        )
        folds = sorted({each["fold"] for each in due if each["fold"]})
        if folds:
            ids = [each["_id"] for each in due]
            along = {"due_at": {"$gt": now}, "fold": {"$in": folds}, "_id": {"$nin": ids}, "attempts": 0}
            due += await self._deliveries.find(Find(conditions=of_lane | along, order=order, limit=limit))
        return [from_document(each) for each in due]

    async def begin(self, deliveries: Sequence[Delivery], token: str) -> None:
        """Note that these are about to be sent."""
        fresh = [each.id for each in deliveries if not each.began]
        again = [each.id for each in deliveries if each.began]
        changes = []
        if fresh:
            changes.append(Change(conditions={"_id": {"$in": fresh}, "began": ""}, sets={"began": token}, many=True))
        if again:
            changes.append(
                Change(conditions={"_id": {"$in": again}}, sets={"began": token}, adds={"repeats": 1}, many=True)
            )
        await self._deliveries.change(changes)

    async def judge(self, deliveries: Sequence[Delivery], token: str) -> None:
        """Write down what became of deliveries that were begun under a token; who has begun them since knows better."""
        now = datetime.now(UTC)
        sent = [each for each in deliveries if each.state is DeliveryState.SENT]
        others = [_judged(each, token, now) for each in deliveries if each.state is not DeliveryState.SENT]
        await self._deliveries.change([*_sent(sent, token, now), *others])

    async def told(self, deliveries: Sequence[Delivery]) -> None:
        """Note that what became of deliveries was told; if more became of one since, that is still to be told."""
        alike: defaultdict[tuple[int, bool], list[str]] = defaultdict(list)
        for each in deliveries:
            alike[_version(each), each.state is DeliveryState.SENT].append(each.id)
        await self._deliveries.change([_told(ids, *key) for key, ids in alike.items()])

    async def untold(self, before: datetime, limit: int) -> list[Delivery]:
        """Return deliveries of which something was not told since a moment, as it stands."""
        conditions = {"untold": {"$exists": True}, "judged_at": {"$lt": before}}
        found = await self._deliveries.find(Find(conditions=conditions, limit=limit))
        return [from_document(each) for each in found]

    async def release(self, claim: Claim, lane: Lane) -> None:
        """Give a lane back, due when its next delivery is; at once if something came in meanwhile."""
        ahead = Find(conditions={"lane": lane.id, "state": WAITING}, order=[("due_at", 1)], limit=1, fields=("due_at",))
        following = await self._deliveries.find(ahead)
        sets = _lane_fields(lane) | {"leased_until": EPOCH}
        due = {"due_at": following[0]["due_at"]} if following else {}
        mine = {"_id": lane.id, "token": claim.token}
        unsets = ("token",) if following else ("token", "due_at")
        known = Change(conditions=mine | {"wakes": claim.wakes}, sets=sets | due, unsets=unsets)
        if not await self._lanes.change([known]):
            await self._lanes.change([Change(conditions=mine, sets=sets, unsets=("token",))])

    async def redrive(self, tenant_id: str, recipient: str, id_: str | None, *, now: datetime) -> None:
        """Let what has failed for a recipient, or one of it, wait again as if it were new."""
        failed: dict[str, Any] = {"tenant_id": tenant_id, "recipient": recipient, "state": DeliveryState.FAILED.value}
        if id_ is not None:
            failed["_id"] = id_
        found = await self._deliveries.find(Find(conditions=failed, fields=("lane",)))
        fresh = {"state": WAITING, "due_at": now, "attempts": 0, "created_at": now, "began": ""}
        gone = ("done_at", "code", "reason", "untold")
        await self._deliveries.change([Change(conditions=failed, sets=fresh, unsets=gone, many=True)])
        free = {"blocked_until": EPOCH, "gone": "", "failures": 0, "due_at": now}
        lanes = sorted({each["lane"] for each in found})
        await self._lanes.change([Change(conditions={"_id": lane}, sets=free, adds={"wakes": 1}) for lane in lanes])


def to_document(delivery: Delivery) -> dict[str, Any]:
    """Write a delivery down."""
    document: dict[str, Any] = {
        "_id": delivery.id,
        "schema": SCHEMA,
        "lane": delivery.lane,
        "tenant_id": delivery.tenant_id,
        "recipient": delivery.recipient,
        "channel": delivery.channel.value,
        "topic": delivery.topic.value,
        "event": delivery.event,
        "created_at": delivery.created_at,
        "due_at": delivery.due_at,
        "seq": delivery.seq,
        "fold": delivery.fold,
        "on_call": delivery.on_call,
        "public": delivery.public,
        "notice": orjson.dumps(delivery.notice),
        "payload": delivery.payload,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "repeats": delivery.repeats,
        "began": delivery.began,
    }
    return document | {name: value for name in _OPTIONAL if (value := getattr(delivery, name)) is not None}


def from_document(document: Mapping[str, Any]) -> Delivery:
    """Read a delivery from its document.

    Raises:
        UnknownSchema: if a newer version wrote it.
    """
    if document["schema"] != SCHEMA:
        raise UnknownSchema(f"schema {document['schema']!r} of a delivery; this version knows {SCHEMA}")
    return Delivery(
        id=document["_id"],
        channel=NoticeChannel(document["channel"]),
        topic=NoticeTopic(document["topic"]),
        state=DeliveryState(document["state"]),
        notice=orjson.loads(document["notice"]) if document.get("notice") else {},
        payload=bytes(document.get("payload", b"")),
        **{name: document[name] for name in ("tenant_id", "recipient", "event", "created_at", "due_at", "seq", "fold")},
        **{name: document[name] for name in ("on_call", "public", "attempts", "repeats", "began")},
        **{name: document[name] for name in _OPTIONAL if name in document},
    )


def _wakes(deliveries: Iterable[Delivery]) -> list[Change]:
    due: dict[str, datetime] = {}
    for each in deliveries:
        due[each.lane] = min(each.due_at, due.get(each.lane, each.due_at))
    new = {"schema": SCHEMA, "leased_until": EPOCH, "blocked_until": EPOCH, "failures": 0, "gone": ""}
    return [
        Change(conditions={"_id": id_}, least={"due_at": at}, adds={"wakes": 1}, new=new, upsert=True)
        for id_, at in due.items()
    ]


def _cancelled(reaction: Reaction) -> Change:
    now = datetime.now(UTC)
    waiting = {"case_id": reaction.case_id, "state": WAITING, "on_call": True, "tenant_id": reaction.tenant_id}
    return Change(
        conditions=waiting | {"seq": {"$lt": reaction.seq}},
        sets={"state": DeliveryState.CANCELLED.value, "done_at": now, "judged_at": now, "untold": -1},
        many=True,
    )


def _sent(deliveries: Sequence[Delivery], token: str, now: datetime) -> list[Change]:
    """Return what is written of deliveries that went out: one change of all that fared alike."""
    alike: defaultdict[tuple[int, str | None, datetime | None], list[str]] = defaultdict(list)
    for each in deliveries:
        alike[each.attempts, each.folded_into, each.done_at].append(each.id)
    done = {"state": DeliveryState.SENT.value, "began": "", "judged_at": now}
    return [
        Change(
            conditions={"_id": {"$in": ids}, "began": token},
            sets=done
            | {"attempts": attempts, "untold": attempts, "done_at": done_at}
            | ({"folded_into": folded_into} if folded_into is not None else {}),
            unsets=("code", "reason"),
            many=True,
        )
        for (attempts, folded_into, done_at), ids in alike.items()
    ]


def _judged(delivery: Delivery, token: str, now: datetime) -> Change:
    sets: dict[str, Any] = {
        "state": delivery.state.value,
        "due_at": delivery.due_at,
        "attempts": delivery.attempts,
        "began": delivery.began,
        "untold": _version(delivery),
        "judged_at": now,
    }
    sets |= {name: value for name in _OPTIONAL if (value := getattr(delivery, name)) is not None}
    gone = tuple(name for name in ("code", "reason") if getattr(delivery, name) is None)
    # What was cancelled meanwhile stays so, unless it went out.
    conditions = {"_id": delivery.id, "began": token, "state": WAITING}
    return Change(conditions=conditions, sets=sets, unsets=gone)


def _told(ids: Sequence[str], version: int, went_out: bool) -> Change:
    # What was said to somebody is no longer ours to keep.
    said = ("payload", "notice") if went_out else ()
    return Change(conditions={"_id": {"$in": ids}, "untold": version}, unsets=("untold", *said), many=True)


def _version(delivery: Delivery) -> int:
    return -1 if delivery.state is DeliveryState.CANCELLED else delivery.attempts


def _lane(document: Mapping[str, Any]) -> Lane:
    return Lane(
        id=document["_id"],
        blocked_until=document["blocked_until"],
        failures=document["failures"],
        gone=document["gone"],
        tokens=document.get("tokens"),
        filled_at=document.get("filled_at"),
    )


def _lane_fields(lane: Lane) -> dict[str, Any]:
    fields: dict[str, Any] = {"blocked_until": lane.blocked_until, "failures": lane.failures, "gone": lane.gone}
    if lane.tokens is not None:
        fields |= {"tokens": lane.tokens, "filled_at": lane.filled_at}
    return fields
