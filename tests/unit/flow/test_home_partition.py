"""Where a key is at home: every client that follows Kafka's default says the same."""

from aiokafka.partitioner import DefaultPartitioner
from hypothesis import example, given
from hypothesis import strategies as st

from shared.flow.teller import home_partition


@given(st.binary(max_size=300), st.integers(1, 200))
@example(b"", 12)
@example(b"\xff" * 7, 12)
def test_a_key_is_at_home_where_the_clients_own_partitioner_puts_it(key: bytes, partitions: int) -> None:
    all_of_them = list(range(partitions))
    assert home_partition(key, partitions) == DefaultPartitioner()(key, all_of_them, all_of_them)
