"""Grammar and sizes that every message keeps to (design section 3)."""

from typing import Final

TENANT_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
DEVICE_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
UUID_PATTERN: Final = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
SHA256_PATTERN: Final = r"^[0-9a-f]{64}$"
CASE_CODE_PATTERN: Final = r"^[0-9]{4}-[0-9]{4}$"
MEDIA_PATTERN: Final = r"^[a-z0-9*?][a-z0-9.+*?-]*/[a-z0-9*?][a-z0-9.+*?-]*$"

FAULT_MAX: Final = 128
DEDUP_KEY_MAX: Final = 255
CASE_KEY_MAX: Final = 257  # `<device>:<fault>`, both of full length
TITLE_MAX: Final = 200
TEXT_MAX: Final = 4000
REFERENCE_MAX: Final = 100
CUSTOMER_REFERENCE_MAX: Final = 200
ID_MAX: Final = 200
SOURCE_MAX: Final = 500
TAG_MAX: Final = 64
TAGS_MAX: Final = 50
CC_MAX: Final = 50
ASSIGNEES_MAX: Final = 50
WATCHERS_MAX: Final = 200
TEAMS_MAX: Final = 20
CONTACTS_MAX: Final = 10
CONTACT_WAYS_MAX: Final = 5
CLASSES_MAX: Final = 20
LINKS_MAX: Final = 100
LEVELS_MAX: Final = 3
FILES_MAX: Final = 1000
STATUS_HISTORY_MAX: Final = 200
NOTES_MAX: Final = 1000
ATTACHMENTS_MAX: Final = 5  # of one request
FILES_OF_FORM_MAX: Final = 50  # what a tenant may set for forms
MENTIONS_MAX: Final = 50
FILE_NAME_MAX: Final = 255

SIGNAL_BYTES_MAX: Final = 64 * 1024
COMMAND_BYTES_MAX: Final = 256 * 1024
CASE_BYTES_MAX: Final = 384 * 1024  # of a state, where people let it grow
DETAILS_BYTES_MAX: Final = 8 * 1024
RAW_BYTES_MAX: Final = 16 * 1024
RAW_DEPTH_MAX: Final = 100
DEFAULT_BYTES_MAX: Final = 1024 * 1024 - 16 * 1024
