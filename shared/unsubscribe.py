"""What a link for unsubscribing carries: sealed, so that nobody can make one for somebody else."""

from typing import Self

from pydantic import ValidationError

from shared.contracts.fields import Model, TenantId
from shared.contracts.notices import Recipient
from shared.contracts.words import NoticeTopic
from shared.sealing import SEALED, NotSealed, Seal


class Unsubscription(Model):
    """That somebody wants no more mails about a topic."""

    tenant_id: TenantId
    recipient: Recipient
    topic: NoticeTopic

    def token(self, seal: Seal) -> str:
        """Return it as a word that fits in a link.

        Raises:
            NotSealed: if there is no key.
        """
        return seal.close(self.model_dump_json()).removeprefix(SEALED)

    @classmethod
    def read(cls, token: str, seal: Seal) -> Self:
        """Return what a token says.

        Raises:
            NotSealed: if it is none of ours.
        """
        try:
            return cls.model_validate_json(seal.open(SEALED + token))
        except ValidationError as error:
            raise NotSealed("it says something else") from error
