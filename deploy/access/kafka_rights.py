"""Rights on Kafka: brings users and access lists of a cluster to the plan."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from deploy.access.plan import PREFIX, Grant, Principal
from shared.kafka import security

ITERATIONS: Final = 8_192
ANSWER_SECONDS: Final = 30
ANY_HOST: Final = "*"
_RESOURCES: Final = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional_id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,
}
_OPERATIONS: Final = {
    "All": AclOperation.ALL,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
}


class RightsRefused(Exception):
    """The cluster did not take, or did not tell, who may do what."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Right:
    """Something that a user may do on a cluster."""

    user: str
    grant: Grant

    def __str__(self) -> str:
        what = f"{self.grant.resource} {self.grant.name}{'…' if self.grant.prefixed else ''}"
        return f"{self.user}: {self.grant.operation} {what}"


class KafkaRights:
    """The users and access lists of one cluster, as its admin sees them."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers, **security().librdkafka_options()})

    def differences(self, principals: Iterable[Principal]) -> tuple[set[Right], set[Right]]:
        """Return what is missing, and what users of ours may do that nobody planned.

        Raises:
            RightsRefused: if the cluster does not tell.
        """
        self._demand_sight()
        wanted = {Right(user=each.user, grant=grant) for each in principals for grant in each.grants}
        there = {_right(binding) for binding in self._bindings() if _ours(binding)}
        return wanted - there, there - wanted

    def give(self, rights: Iterable[Right]) -> None:
        """Let users do what they may not yet.

        Raises:
            RightsRefused: if the cluster does not take it.
        """
        bindings = [_binding(right) for right in rights]
        if bindings:
            self._await(self._admin.create_acls(bindings, request_timeout=ANSWER_SECONDS))

    def take(self, rights: Iterable[Right]) -> None:
        """Let users do no longer what they may.

        Raises:
            RightsRefused: if the cluster does not take it.
        """
        filters = [_binding(right, AclBindingFilter) for right in rights]
        if filters:
            self._await(self._admin.delete_acls(filters, request_timeout=ANSWER_SECONDS))

    def set_password(self, user: str, password: str) -> None:
        """Let a user in by this password (SCRAM) and no other; connections that are there go on.

        Raises:
            RightsRefused: if the cluster does not take it.
        """
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
        upsertion = UserScramCredentialUpsertion(user, info, password.encode())
        self._await(self._admin.alter_user_scram_credentials([upsertion], request_timeout=ANSWER_SECONDS))

    def _demand_sight(self) -> None:
        # The library takes "not authorized" for "there are none": everything would seem to be missing.
        asked = self._admin.describe_cluster(include_authorized_operations=True, request_timeout=ANSWER_SECONDS)
        if AclOperation.DESCRIBE not in (_answer(asked).authorized_operations or ()):
            raise RightsRefused("you may not see who may do what: not authorized to Describe the cluster")

    def _bindings(self) -> list[AclBinding]:
        everything = AclBindingFilter(
            ResourceType.ANY,
            None,
            ResourcePatternType.ANY,
            None,
            None,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        return list(_answer(self._admin.describe_acls(everything, request_timeout=ANSWER_SECONDS)))

    def _await(self, answers: dict[Any, Any]) -> None:
        for answer in answers.values():
            _answer(answer)


def _answer(answer: Any) -> Any:  # noqa: ANN401 - each request has its own
    try:
        return answer.result(ANSWER_SECONDS)
    except (KafkaException, TimeoutError) as error:
        raise RightsRefused(str(error) or "no answer") from error


def _ours(binding: AclBinding) -> bool:
    return str(binding.principal).startswith(f"User:{PREFIX}")


def _binding(right: Right, form: type[Any] = AclBinding) -> Any:  # noqa: ANN401 - a binding or a filter
    grant = right.grant
    return form(
        _RESOURCES[grant.resource],
        grant.name,
        ResourcePatternType.PREFIXED if grant.prefixed else ResourcePatternType.LITERAL,
        f"User:{right.user}",
        ANY_HOST,
        _OPERATIONS[grant.operation],
        AclPermissionType.ALLOW,
    )


def _right(binding: AclBinding) -> Right:
    resources = {value: name for name, value in _RESOURCES.items()}
    operations = {value: name for name, value in _OPERATIONS.items()}
    grant = Grant(
        resource=resources.get(binding.restype, binding.restype.name),
        name=str(binding.name),
        operation=operations.get(binding.operation, binding.operation.name),
        prefixed=binding.resource_pattern_type == ResourcePatternType.PREFIXED,
    )
    return Right(user=str(binding.principal).removeprefix("User:"), grant=grant)
