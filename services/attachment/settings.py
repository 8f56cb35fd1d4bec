"""What an operator may change of attachment."""

from typing import ClassVar

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from shared.settings import Seconds, ServiceSettings


class AttachmentSettings(ServiceSettings):
    """Settings of attachment, prefix `ATTACHMENT_`."""

    model_config = SettingsConfigDict(env_prefix="ATTACHMENT_")
    service: ClassVar[str] = "attachment"

    clock_interval_seconds: Seconds = Field(5, description="How often attachment looks for files that are due")
    sweep_interval_seconds: Seconds = Field(60, description="How often what a crash left half done is ended")
    settle_seconds: Seconds = Field(
        60, description="How long a step of taking in or throwing away may take before it counts as left half done"
    )
    api_host: str = Field("127.0.0.1", description="Where bytes come in and go out; for the gateway alone")
    api_port: int = Field(
        0, ge=0, le=65535, description="Its port, which several processes may share; 0 takes a free one"
    )
    file_bytes_max: int = Field(
        4 * 1024**3, ge=1, le=1024**4, description="The largest file that is taken (S4 clients: 10 MB)"
    )
    quota_bytes: int = Field(
        100 * 1024**3, ge=1, le=1024**5, description="What one tenant may store, uploads under way included"
    )
    allowed_types: str = Field("*/*", description="Types that are taken, by the bytes themselves: patterns, by commas")
    refused_types: str = Field(
        "application/vnd.microsoft.portable-executable,application/x-executable,application/x-mach-binary",
        description="Types that are refused all the same",
    )
    upload_hours: float = Field(
        24, gt=0, le=24 * 40, description="How long an upload that does not go on is kept; a file unlinked: 40 days"
    )
    ended_days: float = Field(
        100,
        ge=30,
        le=3650,
        description="How long it is known of a removed or expired file that there was one; its bytes go at once",
    )
    link_minutes_max: int = Field(
        24 * 60, ge=1, le=7 * 24 * 60, description="How long a one-time download link holds at most"
    )
    s3_bucket: str = Field("", description="Keep files in this bucket of an S3-compatible store; else in MongoDB")
    s3_endpoint: str = Field("", pattern=r"^$|^https?://", description="Where the store is; without it AWS")
    s3_region: str = Field("us-east-1", description="The store's region")
    s3_access_key_id: str = Field("", description="Who the service is there")
    s3_secret_access_key: SecretStr = Field(SecretStr(""), description="Its secret there")
    clamd_address: str = Field(
        "",
        pattern=r"^$|^/.+|^.+:[0-9]{1,5}$",
        description="Where clamd is: host:port, or the path of its socket; without it every file is unscanned",
    )
    clamd_signatures_days_max: float = Field(
        7, gt=0, le=365, description="With older signatures than that nothing is called clean"
    )
    examine_interval_seconds: Seconds = Field(1, description="How often files that came in are looked through")
    thumbnails: bool = Field(True, description="Whether small pictures of pictures and PDFs are made")
    give_unscanned: bool = Field(True, description="Whether files are given out that no fresh scanner found clean")
