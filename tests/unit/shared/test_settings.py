"""Settings: secrets from files, who a process is at Kafka, and what messages of errors do not say."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from faststream.security import SASLScram512
from pydantic import ValidationError

from services.intake.settings import IntakeSettings
from shared import kafka
from shared.authority import Authority, utc_now
from shared.setting_files import UnreadableSetting

SECRET = "hunter2-of-the-fleet"


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in kafka.KafkaSecurity.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    kafka.security.cache_clear()
    yield
    kafka.security.cache_clear()


def test_a_secret_lies_in_a_file_whose_last_line_break_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uri").write_text(f"mongodb://intake:{SECRET}@mongodb/\n")
    monkeypatch.delenv("MONGODB_URI", raising=False)
    monkeypatch.setenv("MONGODB_URI_FILE", str(tmp_path / "uri"))
    assert IntakeSettings.load().mongodb_uri == f"mongodb://intake:{SECRET}@mongodb/"


def test_a_setting_of_one_service_may_lie_in_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "records").write_text("17")
    monkeypatch.setenv("INTAKE_MAX_RECORDS_FILE", str(tmp_path / "records"))
    assert IntakeSettings.load().max_records == 17


def test_a_variable_and_its_file_together_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "uri").write_text("mongodb://one/")
    monkeypatch.setenv("MONGODB_URI_FILE", str(tmp_path / "uri"))
    monkeypatch.setenv("MONGODB_URI", f"mongodb://two:{SECRET}@x/")
    with pytest.raises(UnreadableSetting, match="both set") as refused:
        IntakeSettings.load()
    assert SECRET not in str(refused.value)


def test_a_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONGODB_URI", raising=False)
    monkeypatch.setenv("MONGODB_URI_FILE", "/nowhere/uri")
    with pytest.raises(UnreadableSetting, match="MONGODB_URI_FILE: /nowhere/uri cannot be read"):
        IntakeSettings.load()


def test_without_settings_clients_speak_plain_text() -> None:
    assert kafka.client_settings("one:1") == {"bootstrap_servers": "one:1", "security_protocol": "PLAINTEXT"}


def test_by_password_clients_and_the_broker_of_a_service_are_the_same_principal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text(SECRET)
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_PLAINTEXT")
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "callout-intake")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD_FILE", str(tmp_path / "password"))
    assert kafka.client_settings("one:1") == {
        "bootstrap_servers": "one:1",
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "callout-intake",
        "sasl_plain_password": SECRET,
    }
    broker = IntakeSettings.load().of_broker()
    assert isinstance(broker, SASLScram512)
    assert (broker.username, broker.password, broker.use_ssl) == ("callout-intake", SECRET, False)
    assert kafka.security().librdkafka_options() == {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "callout-intake",
        "sasl.password": SECRET,
    }


def test_with_tls_brokers_are_verified_by_name_and_by_the_authority_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    authority.prepare(utc_now())
    authority.issue_server(tmp_path, ("localhost",), now=utc_now())
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SSL")
    monkeypatch.setenv("KAFKA_SSL_CA_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("KAFKA_SSL_CERTIFICATE_FILE", str(tmp_path / "server.pem"))
    monkeypatch.setenv("KAFKA_SSL_KEY_FILE", str(tmp_path / "server.key"))
    context = kafka.client_settings("one:1")["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1
    assert IntakeSettings.load().of_broker().use_ssl


@pytest.mark.parametrize(
    ("setting", "value", "says"),
    [
        ("KAFKA_SECURITY_PROTOCOL", "SASL_SSL", "needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
        ("KAFKA_SSL_KEY_FILE", "/key.pem", "go together"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "PLAINTEXT"),
    ],
)
def test_what_does_not_go_together_stops_the_service_without_telling_secrets(
    setting: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, value)
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", SECRET)
    with pytest.raises(ValidationError, match=says) as refused:
        IntakeSettings.load()
    assert SECRET not in str(refused.value)


def test_secrets_are_not_in_what_is_printed_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", SECRET)
    assert SECRET not in repr(IntakeSettings.load())
