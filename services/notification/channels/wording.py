"""The words of a message: built-in ones, or a tenant's templates in a sandbox that can only show what it is given.

A template may say values, choose and go through the changes once: no other statement, no call, no loop in a loop. So
rendering ends, whatever a tenant writes; one that cannot be rendered gives way to the built-in words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import structlog
from jinja2 import TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.notification.channels.phrases import phrases_of
from services.notification.domain.book import Book
from services.notification.domain.delivery import Delivery
from shared.contracts.tenant_notices import NoticeTemplate

log = structlog.get_logger()
RENDERED_MAX: Final = 400_000
#: What people wrote is cut where many changes go together: so much of all, but so much of each.
TEXTS_MAX, TEXT_MIN = 20_000, 200
SUBJECT_MAX: Final = 200
#: What a template may be made of.
NODES: Final = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const),
    *(nodes.If, nodes.For, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Filter),
)
FILTERS: Final = frozenset({"upper", "lower", "title", "capitalize", "trim", "default", "d", "length", "first", "last"})
TEXT: Final = """\
{% for entry in entries %}{{ entry.what }}{% if digest %} - {{ entry.number }} {{ entry.title }}{% endif %}
{% if entry.text %}
{{ entry.text }}
{% endif %}
{% if entry.state %}{{ entry.state }} {% endif %}{% if entry.priority %}{{ entry.priority }} {% endif %}\
{% if entry.device_id %}{{ entry.device_id }}{% endif %}
{% if digest and entry.link %}{{ entry.link }}
{% endif %}
{% endfor %}{% if link and not digest %}{{ words.open }}: {{ link }}
{% endif %}{% if can_reply %}{{ words.reply }}
{% endif %}{% if unsubscribe %}
{{ words.unsubscribe }}: {{ unsubscribe }}
{% endif %}"""
HTML: Final = """\
<!doctype html><html><body style="font-family:sans-serif">
{% for entry in entries %}<p><b>{{ entry.what }}</b>{% if digest %} {{ entry.number }} {{ entry.title }}{% endif %}</p>
{% if entry.text %}<blockquote style="white-space:pre-wrap">{{ entry.text }}</blockquote>{% endif %}
<p>{% if entry.state %}{{ entry.state }} {% endif %}{% if entry.priority %}{{ entry.priority }} {% endif %}\
{% if entry.device_id %}{{ entry.device_id }}{% endif %}</p>
{% if digest and entry.link %}<p><a href="{{ entry.link }}">{{ words.open }}</a></p>{% endif %}
{% endfor %}{% if link and not digest %}<p><a href="{{ link }}">{{ words.open }}</a></p>{% endif %}
{% if can_reply %}<p>{{ words.reply }}</p>{% endif %}
{% if unsubscribe %}<p><a href="{{ unsubscribe }}">{{ words.unsubscribe }}</a></p>{% endif %}
</body></html>"""


class BadTemplate(Exception):
    """A tenant's template is made of more than it may be."""


@dataclass(frozen=True, slots=True)
class Worded:
    """A message in words."""

    subject: str
    text: str
    html: str


def worded(
    deliveries: Sequence[Delivery],
    book: Book,
    locale: str,
    *,
    link: str,
    can_reply: bool = False,
    unsubscribe: str = "",
) -> Worded:
    """Return what deliveries that go together say; `link` has the place `{case_id}`."""
    first, words = deliveries[0], phrases_of(locale)
    text_max = max(TEXT_MIN, TEXTS_MAX // len(deliveries))
    entries = [_entry(each, words, link, text_max) for each in deliveries]
    digest = len({each.case_id for each in deliveries}) > 1
    values: dict[str, Any] = {
        **entries[0],
        "entries": entries,
        "count": len(deliveries),
        "digest": digest,
        "words": dict(words),
        "can_reply": can_reply,
        "unsubscribe": unsubscribe,
    }
    own = _template(first, book, locale)
    try:
        return (
            _rendered(own, values, digest=digest)
            if own is not None
            else _rendered(NoticeTemplate(), values, digest=digest)
        )
    except (TemplateError, BadTemplate, TypeError, ValueError, ArithmeticError) as error:
        log.warning("template_not_used", tenant_id=first.tenant_id, topic=first.topic.value, reason=str(error)[:200])
        return _rendered(NoticeTemplate(), values, digest=digest)


def _rendered(template: NoticeTemplate, values: Mapping[str, Any], *, digest: bool) -> Worded:
    words = values["words"]
    if template.subject is not None:
        subject = _render(template.subject, values, escaped=False)
    elif digest:
        subject = words["digest"].format(count=values["count"])
    elif values.get("number"):
        subject = words["subject"].format(number=values["number"], title=values.get("title", ""))
    else:
        subject = values.get("title") or ": ".join(filter(None, (values.get("device_id"), values["what"])))
    return Worded(
        " ".join(subject.split())[:SUBJECT_MAX],
        _render(template.text or TEXT, values, escaped=False),
        _render(template.html or HTML, values, escaped=True),
    )


def _entry(delivery: Delivery, words: Mapping[str, str], link: str, text_max: int) -> dict[str, Any]:
    known = {name: value for name, value in delivery.notice.items() if isinstance(value, str | int | float)}
    if len(text := str(known.get("text", ""))) > text_max:
        known["text"] = f"{text[:text_max]}\N{HORIZONTAL ELLIPSIS}"
    what = words.get(delivery.event, words["other"])
    there = link.replace("{case_id}", delivery.case_id) if link and delivery.case_id else ""
    return {**known, "what": what, "topic": delivery.topic.value, "link": there}


def _template(delivery: Delivery, book: Book, locale: str) -> NoticeTemplate | None:
    for topic in (delivery.topic.value, "default"):
        for spoken in (locale, locale.partition("-")[0]):
            found = book.data.notice_template(f"{topic}.{spoken}")
            if found is not None:
                return found
    return None


def _render(source: str, values: Mapping[str, Any], *, escaped: bool) -> str:
    pieces, length = [], 0
    for piece in _compiled(source, escaped=escaped).generate(**values):
        # As plain text: what is escaped already would have the rest escaped once more.
        pieces.append(str(piece))
        length += len(piece)
        if length > RENDERED_MAX:
            raise BadTemplate(f"more than {RENDERED_MAX} characters")
    return "".join(pieces)


@lru_cache(maxsize=512)
def _compiled(source: str, *, escaped: bool) -> Any:  # noqa: ANN401 - a template
    environment = _ENVIRONMENTS[escaped]
    _check(environment.parse(source))
    return environment.from_string(source)


def _check(node: nodes.Node, loops: int = 0) -> None:
    if not isinstance(node, NODES):
        raise BadTemplate(f"{type(node).__name__} is not allowed in a template")
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        raise BadTemplate(f"the filter {node.name} is not allowed in a template")
    loops += isinstance(node, nodes.For)
    if loops > 1:
        raise BadTemplate("a loop in a loop is not allowed in a template")
    for child in node.iter_child_nodes():
        _check(child, loops)


def _environment(*, escaped: bool) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(autoescape=escaped, trim_blocks=True, auto_reload=False)
    environment.globals.clear()
    return environment


_ENVIRONMENTS: Final = {escaped: _environment(escaped=escaped) for escaped in (False, True)}
