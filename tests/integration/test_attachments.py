"""Files on the running stack: in one go and by stock tus clients, into a case, out again, seen by whom it is for."""

import asyncio
import base64
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from pymongo import MongoClient
from tusclient.client import TusClient

from deploy.auditing import AuditTrail
from deploy.tenant_config import apply_changes, changes
from deploy.tenant_files import Entries, read_tenant_file
from deploy.topic_reader import TopicReader
from tests.integration.test_gateway import Client, command, new_case
from tests.stack import RunningStack, wait_until

pytestmark = pytest.mark.integration

DETACHED = "callout.case.detached.v1"
FILES, UPLOADS = "/api/v1/attachments", "/api/v1/attachments/uploads"
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n" + os.urandom(5000)
#: The harmless text that scanners take for a virus; put together here, so that none takes this file for one.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
FAST = {
    "ATTACHMENT_SWEEP_INTERVAL_SECONDS": "0.5",
    "ATTACHMENT_SETTLE_SECONDS": "1",
    "ATTACHMENT_CLOCK_INTERVAL_SECONDS": "0.5",
    "ATTACHMENT_FILE_BYTES_MAX": str(64 * 1024 * 1024),
    "ATTACHMENT_QUOTA_BYTES": str(200 * 1024 * 1024),
    "GATEWAY_METADATA_REFRESH_SECONDS": "1",
}


@dataclass(frozen=True)
class Scanner:
    """A clamd that runs."""

    address: str
    pid: int

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let it answer nobody inside the block."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def clamd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scanner | None]:
    """A real clamd that knows one signature, and no dated ones; nothing where there is no clamd."""
    program = shutil.which("clamd")
    if program is None:
        assert not os.environ.get("CI"), "CI has clamd: deploy/debian-packages.txt"
        yield None
        return
    folder = tmp_path_factory.mktemp("clamd")
    (folder / "db").mkdir()
    digest = hashlib.md5(EICAR, usedforsecurity=False).hexdigest()
    (folder / "db" / "local.hdb").write_text(f"{digest}:{len(EICAR)}:Local.Eicar\n")
    socket_file = folder / "clamd.sock"
    lines = (f"DatabaseDirectory {folder}/db", f"LocalSocket {socket_file}", "Foreground yes", "StreamMaxLength 8M")
    (folder / "clamd.conf").write_text("\n".join(lines) + "\n")
    running = subprocess.Popen((program, "-c", str(folder / "clamd.conf")), stdout=subprocess.DEVNULL)
    try:
        wait_until(socket_file.exists, seconds=60)
        yield Scanner(str(socket_file), running.pid)
    finally:
        running.terminate()
        running.wait()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, clamd: Scanner | None) -> Iterator[RunningStack]:
    """Workflow, attachment and gateway."""
    services = ("--only", "workflow,attachment,gateway")
    settings = {**FAST, "ATTACHMENT_CLAMD_ADDRESS": clamd.address if clamd else ""}
    with RunningStack(tmp_path_factory.mktemp("files"), *services, environment=settings) as running:
        yield running


@pytest.fixture
async def ann(stack: RunningStack) -> AsyncIterator[httpx.AsyncClient]:
    """An agent of acme."""
    async with Client(stack) as client:
        yield client


@pytest.fixture
def kept(stack: RunningStack) -> Iterator[Any]:
    """The attachment service's database."""
    with MongoClient(stack.mongodb_uri, tz_aware=True) as client:
        yield client["callout_attachment"]


async def stored(http: httpx.AsyncClient, data: bytes = PDF, name: str = "manual.pdf") -> dict[str, Any]:
    answer = await http.post(FILES, files={"file": (name, data, "application/x-made-up")})
    assert answer.status_code == 201, answer.text
    (file,) = answer.json()["items"]
    return file


async def until_state(http: httpx.AsyncClient, file_id: str, state: str) -> dict[str, Any]:
    for _ in range(600):
        answer = await http.get(f"{FILES}/{file_id}")
        if answer.status_code == 200 and answer.json()["state"] == state:
            return answer.json()
        await asyncio.sleep(0.1)
    raise AssertionError(answer.text)


async def attach(http: httpx.AsyncClient, case: dict[str, Any], file: dict[str, Any], **more: Any) -> httpx.Response:
    body = {"attachment_id": file["id"], "name": file["name"], **more}
    return await http.post(command(case, "attach"), json=body)


async def files_of(http: httpx.AsyncClient, case: dict[str, Any]) -> list[str] | None:
    answer = await http.get(f"/api/v1/cases/{case['id']}/attachments")
    return [file["id"] for file in answer.json()["items"]] if answer.status_code == 200 else None


async def until_files(http: httpx.AsyncClient, case: dict[str, Any], *files: dict[str, Any]) -> None:
    """Wait until these are the files of a case: what the attachment service has a case let go of, goes later."""
    for _ in range(600):
        if (found := await files_of(http, case)) == [file["id"] for file in files]:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(found)


async def begun(http: httpx.AsyncClient, length: int, name: str = "log.bin", **headers: str) -> str:
    metadata = f"filename {base64.b64encode(name.encode()).decode()}"
    answer = await http.post(
        UPLOADS, headers={**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata, **headers}
    )
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


async def go_on(http: httpx.AsyncClient, place: str, offset: int, data: bytes, **headers: str) -> httpx.Response:
    return await http.patch(place, content=data, headers={**BYTES, "Upload-Offset": str(offset), **headers})


@pytest.mark.seed("S0.19", "S3.5")
async def test_a_file_goes_into_a_case_and_comes_out_whole_under_its_name(ann: httpx.AsyncClient) -> None:
    name = "Prüfbericht 温度 2026.pdf"
    file = await stored(ann, name=name)
    assert (file["size"], file["sha256"]) == (len(PDF), hashlib.sha256(PDF).hexdigest())
    assert (file["media_type"], file["state"], file["name"]) == ("application/pdf", "stored", name)
    case = await new_case(ann)
    assert (await attach(ann, case, file)).status_code == 200
    assert (await until_state(ann, file["id"], "linked"))["case_id"] == case["id"]
    assert await files_of(ann, case) == [file["id"]]
    answer = await ann.get(f"{FILES}/{file['id']}/content")
    assert answer.content == PDF
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["etag"] == f'"{file["sha256"]}"'
    assert "filename*=UTF-8''Pr%C3%BCfbericht%20" in answer.headers["content-disposition"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_ranges_and_etags_are_as_http_says(ann: httpx.AsyncClient) -> None:
    data = os.urandom(3 * 512 * 1024 + 777)
    file = await stored(ann, data, "noise.bin")
    place = f"{FILES}/{file['id']}/content"
    for asked, start, stop in (("100-199", 100, 200), ("524280-524299", 524280, 524300), ("-5", len(data) - 5, None)):
        part = await ann.get(place, headers={"Range": f"bytes={asked}"})
        assert (part.status_code, part.content) == (206, data[start:stop])
        assert part.headers["content-range"].endswith(f"/{len(data)}")
    tag = {"If-None-Match": f'"{file["sha256"]}"'}
    assert (await ann.get(place, headers=tag)).status_code == 304
    assert (await ann.get(place, headers={"Range": f"bytes={len(data)}-"})).status_code == 416
    assert (await ann.get(place, headers={"Range": "bytes=0-1", "If-Range": '"other"'})).content == data


async def test_the_stock_client_of_python_uploads_and_resumes(ann: httpx.AsyncClient, stack: RunningStack) -> None:
    data = os.urandom(2_500_000)
    who = Client(stack)
    client = TusClient(stack.http_urls[0] + UPLOADS, headers=who.headers)
    uploader = client.uploader(
        file_stream=io.BytesIO(data), chunk_size=700_000, metadata={"filename": "a.bin"}, upload_checksum=True
    )
    await asyncio.to_thread(uploader.upload_chunk)
    again = client.uploader(file_stream=io.BytesIO(data), chunk_size=700_000, url=uploader.url)
    assert again.offset == 700_000
    await asyncio.to_thread(again.upload)
    file = (await ann.get(f"{FILES}/{again.url.rpartition('/')[2]}")).json()
    assert (file["size"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert (await ann.get(f"{FILES}/{file['id']}/content")).content == data


async def test_the_stock_client_of_javascript_uploads_in_parts(
    ann: httpx.AsyncClient, stack: RunningStack, tmp_path: Path
) -> None:
    modules = os.environ.get("CALLOUT_NODE_MODULES", "")
    if shutil.which("node") is None or not (Path(modules) / "tus-js-client").is_dir():
        pytest.skip("needs node, and CALLOUT_NODE_MODULES with tus-js-client (npm install tus-js-client)")
    data = os.urandom(1_200_000)
    (tmp_path / "data.bin").write_bytes(data)
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "up.cjs").write_text(
        """
const tus = require('tus-js-client'), fs = require('fs')
const [url, token, path] = process.argv.slice(2)
const upload = new tus.Upload(fs.createReadStream(path), {
  endpoint: url, chunkSize: 500000, uploadSize: fs.statSync(path).size, metadata: {filename: 'js.bin'},
  headers: {Authorization: token}, uploadDataDuringCreation: true, retryDelays: [],
  onError: (error) => { console.error(error); process.exit(1) },
  onSuccess: () => { console.log(upload.url) },
})
upload.start()
"""
    )
    who = Client(stack)
    arguments = (stack.http_urls[0] + UPLOADS, who.headers["Authorization"], str(tmp_path / "data.bin"))
    done = await asyncio.to_thread(
        subprocess.run, ("node", "up.cjs", *arguments), cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    file_id = done.stdout.strip().rpartition("/")[2]
    assert (await ann.get(f"{FILES}/{file_id}/content")).content == data


async def test_a_wrong_offset_a_wrong_digest_and_other_peoples_uploads_change_nothing(
    ann: httpx.AsyncClient, stack: RunningStack
) -> None:
    place = await begun(ann, 10)
    assert (await go_on(ann, place, 5, b"56789")).json()["code"] == "offset_conflict"
    digest = "sha1 " + base64.b64encode(hashlib.sha1(b"other").digest()).decode()
    refused = await go_on(ann, place, 0, b"01234", **{"Upload-Checksum": digest})
    assert (refused.status_code, refused.json()["code"]) == (460, "checksum_mismatch")
    assert (await ann.head(place, headers=TUS)).headers["upload-offset"] == "0"
    assert (await go_on(ann, place, 0, b"01234567890")).json()["code"] == "too_large"
    assert (await ann.head(place)).status_code == 412
    async with Client(stack, user="eve") as eve, Client(stack, tenant="other") as other:
        for http in (eve, other):
            assert (await http.head(place, headers=TUS)).status_code == 404
            assert (await go_on(http, place, 0, b"0123456789")).status_code == 404
    assert (await go_on(ann, place, 0, b"0123456789")).headers["upload-offset"] == "10"
    assert (await ann.delete(place, headers=TUS)).json()["code"] == "upload_busy"
    gone = await begun(ann, 10)
    assert (await ann.delete(gone, headers=TUS)).status_code == 204
    assert (await ann.head(gone, headers=TUS)).status_code == 404


async def test_an_upload_begins_with_its_first_bytes_and_is_forgotten_if_it_does_not_go_on(
    ann: httpx.AsyncClient, kept: Any
) -> None:
    metadata = {"Upload-Metadata": "filename YQ==", "Upload-Length": "1000000"}
    answer = await ann.post(UPLOADS, content=b"x" * 600_000, headers={**BYTES, **metadata})
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "600000")
    assert parsedate_to_datetime(answer.headers["upload-expires"]) > datetime.now(UTC) + timedelta(hours=23)
    place = answer.headers["location"]
    id_ = place.rpartition("/")[2]
    assert kept["blobs.chunks"].count_documents({"files_id": id_}) == 2
    kept["uploads"].update_one({"_id": id_}, {"$set": {"expires_at": datetime.now(UTC)}})
    wait_until(lambda: kept["blobs.chunks"].count_documents({"files_id": id_}) == 0)
    assert (await ann.head(place, headers=TUS)).status_code == 404


async def raw_patch(stack: RunningStack, place: str, headers: dict[str, str], length: int) -> asyncio.StreamWriter:
    """Open a PATCH whose body does not come yet."""
    url = httpx.URL(stack.http_urls[0])
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = {**headers, **BYTES, "Host": "x", "Content-Length": str(length)}
    lines = [f"PATCH {place} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
    writer.write("\r\n".join(lines).encode())
    return writer


async def offset_of(http: httpx.AsyncClient, place: str) -> int:
    return int((await http.head(place, headers=TUS)).headers["upload-offset"])


async def test_a_connection_that_hangs_or_breaks_locks_nothing_and_loses_nothing(
    ann: httpx.AsyncClient, stack: RunningStack, kept: Any
) -> None:
    data = os.urandom(9 * 1024 * 1024)
    place = await begun(ann, len(data))
    headers = {**Client(stack).headers, "Upload-Offset": "0"}
    hanging = await raw_patch(stack, place, headers, len(data))
    hanging.write(data[: 8 * 1024 * 1024 + 5])
    await hanging.drain()
    for _ in range(600):  # what lies safe is told, while the connection still hangs
        if (known := await offset_of(ann, place)) > 0:
            break
        await asyncio.sleep(0.1)
    assert known == 8 * 1024 * 1024
    # Another client goes on; the one that hangs can do no harm any more.
    taken = await go_on(ann, place, known, data[known : known + 1000])
    assert (taken.status_code, taken.headers["upload-offset"]) == (204, str(known + 1000))
    hanging.write(b"x" * 100_000)
    hanging.transport.abort()
    offset = known + 1000
    for _ in range(5):  # how far it came before it broke, is the machine's affair too
        broken = await raw_patch(stack, place, {**headers, "Upload-Offset": str(offset)}, len(data) - offset)
        broken.write(data[offset : offset + 501])
        await broken.drain()
        await asyncio.sleep(1.5)  # until it has arrived behind the gateway
        broken.close()
        for _ in range(60):  # what came before it broke is kept
            if (after := await offset_of(ann, place)) != offset:
                break
            await asyncio.sleep(0.1)
        assert after in {offset, offset + 501}
        if after != offset:
            break
    assert after == offset + 501
    offset = after
    assert (await go_on(ann, place, offset, data[offset:])).status_code == 204
    file_id = place.rpartition("/")[2]
    assert (
        hashlib.sha256((await ann.get(f"{FILES}/{file_id}/content")).content).digest() == hashlib.sha256(data).digest()
    )


async def test_of_two_clients_that_go_on_with_one_upload_one_wins_and_the_file_is_whole(
    ann: httpx.AsyncClient,
) -> None:
    data = os.urandom(3_000_000)
    place = await begun(ann, len(data))

    async def client() -> None:
        while (offset := await offset_of(ann, place)) < len(data):
            answer = await go_on(ann, place, offset, data[offset : offset + 400_000])
            assert answer.status_code in {204, 409, 423}, answer.text

    await asyncio.gather(client(), client(), client())
    assert (await ann.get(f"{FILES}/{place.rpartition('/')[2]}/content")).content == data


async def test_a_killed_process_loses_no_acknowledged_byte_and_leaves_nothing_behind(
    ann: httpx.AsyncClient, stack: RunningStack, kept: Any
) -> None:
    data = os.urandom(12 * 1024 * 1024)
    place, dropped = await begun(ann, len(data)), await begun(ann, len(data))
    # Nobody put this one into a case for 40 days, as far as the next process knows.
    old = await stored(ann, os.urandom(1000), "old.bin")
    await until_state(ann, old["id"], "scanned")
    kept["attachments"].update_one({"_id": old["id"]}, {"$set": {"expires_at": datetime.now(UTC)}})
    safe = 0
    for size in (1, 5_000_000):
        await go_on(ann, place, safe, data[safe : safe + size])
        safe += size
        hanging = await raw_patch(stack, place, {**Client(stack).headers, "Upload-Offset": str(safe)}, len(data) - safe)
        hanging.write(data[safe : safe + 2_000_000])
        await hanging.drain()
        dead = stack.kill("attachment")
        await asyncio.to_thread(stack.wait_for_restart, "attachment", dead)
        hanging.transport.abort()
        for _ in range(600):
            answer = await ann.head(place, headers=TUS)
            if answer.status_code == 200:
                break
            await asyncio.sleep(0.1)
        assert int(answer.headers["upload-offset"]) >= safe
        safe = int(answer.headers["upload-offset"])
    await go_on(ann, dropped, 0, data[:3_000_000])
    assert (await ann.delete(dropped, headers=TUS)).status_code == 204
    assert (await go_on(ann, place, safe, data[safe:])).status_code == 204
    file_id = place.rpartition("/")[2]
    assert (await ann.get(f"{FILES}/{file_id}/content")).content == data
    known = {d["key"] for d in kept["contents"].find()} | {
        d["_id"] for d in kept["uploads"].find({"step": "receiving"})
    }
    wait_until(lambda: kept["attachments"].find_one({"_id": old["id"]})["state"] == "expired")
    assert (await ann.get(f"{FILES}/{old['id']}/content")).status_code == 404
    known -= {old["id"]}
    wait_until(lambda: set(kept["blobs.chunks"].distinct("files_id")) <= known)


async def test_the_same_bytes_are_kept_once_and_go_when_the_last_file_of_them_goes(
    ann: httpx.AsyncClient, stack: RunningStack, kept: Any
) -> None:
    data = os.urandom(700_000)
    digest = hashlib.sha256(data).hexdigest()
    files = await asyncio.gather(*(stored(ann, data, f"{n}.bin") for n in range(4)))
    async with Client(stack, tenant="other") as other:
        await stored(other, data)
    assert sorted(d["tenant_id"] for d in kept["contents"].find({"sha256": digest})) == ["acme", "other"]

    async def come_and_go() -> None:
        for _ in range(5):
            file = await stored(ann, data, "again.bin")
            assert (await ann.get(f"{FILES}/{file['id']}/content")).content == data
            assert (await ann.delete(f"{FILES}/{file['id']}")).status_code == 204

    await asyncio.gather(come_and_go(), *(ann.delete(f"{FILES}/{file['id']}") for file in files[1:]))
    assert (await ann.get(f"{FILES}/{files[0]['id']}/content")).content == data
    assert (await ann.delete(f"{FILES}/{files[0]['id']}")).status_code == 204
    assert (await ann.get(f"{FILES}/{files[0]['id']}")).status_code == 404
    wait_until(lambda: kept["contents"].count_documents({"sha256": digest, "tenant_id": "acme"}) == 0)


async def test_what_may_not_be_in_a_case_is_taken_out_again(ann: httpx.AsyncClient, stack: RunningStack) -> None:
    case, other_case = await new_case(ann), await new_case(ann)
    mine = await stored(ann)
    async with Client(stack, user="eve") as eve:
        theirs = await stored(eve, b"Not for ann.", "secret.txt")
    for file in (theirs, {"id": "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "name": "a"}, {"id": "f-1", "name": "b"}):
        assert (await attach(ann, case, file)).status_code == 200
    assert (await ann.get(f"{FILES}/{theirs['id']}/content")).status_code == 404
    assert (await attach(ann, case, mine)).status_code == 200
    await until_state(ann, mine["id"], "linked")
    await attach(ann, other_case, mine)
    await until_files(ann, case, mine)
    await until_files(ann, other_case)
    assert await files_of(ann, case) == [mine["id"]]
    assert (await ann.delete(f"{FILES}/{mine['id']}")).json()["code"] == "in_a_case"


async def test_a_link_gives_a_file_once_to_whoever_has_it(
    ann: httpx.AsyncClient, stack: RunningStack, kept: Any
) -> None:
    file = await stored(ann)
    made = await ann.post(f"{FILES}/{file['id']}/links", json={"expires_in_minutes": 5})
    assert made.status_code == 201, made.text
    async with httpx.AsyncClient(base_url=stack.http_urls[0]) as nobody:
        asked = await asyncio.gather(*(nobody.get(made.json()["url"]) for _ in range(4)))
        assert sorted(answer.status_code for answer in asked) == [200, 404, 404, 404]
        assert next(answer.content for answer in asked if answer.status_code == 200) == PDF
        assert (await nobody.get(f"{FILES}/{file['id']}/content")).status_code == 401
        late = await ann.post(f"{FILES}/{file['id']}/links", json={"expires_in_minutes": 1})
        kept["links"].update_many({"file_id": file["id"]}, {"$set": {"expires_at": datetime.now(UTC)}})
        assert (await nobody.get(late.json()["url"])).status_code == 404
    assert (await ann.post(f"{FILES}/{file['id']}/links", json={"expires_in_minutes": 0})).status_code == 400


async def test_files_of_internal_notes_are_for_the_staff_alone(ann: httpx.AsyncClient, stack: RunningStack) -> None:
    case = await new_case(ann)
    files = [await stored(ann, f"{n}".encode(), f"{n}.txt") for n in range(2)]
    for file, visibility in zip(files, ("internal", "external"), strict=True):
        body = {
            "text": "See there.",
            "visibility": visibility,
            "attachments": [{"id": file["id"], "name": file["name"]}],
        }
        assert (await ann.post(f"/api/v1/cases/{case['id']}/notes", json=body)).status_code == 200
        await until_state(ann, file["id"], "linked")
    async with Client(stack, user="tom", role="technician") as tom, Client(stack, user="olga", role="operator") as olga:
        assert await files_of(tom, case) == [file["id"] for file in files]
        assert await files_of(olga, case) == [files[1]["id"]]
        told = [(await http.get(f"{FILES}/{file['id']}/content")).status_code for http in (tom, olga) for file in files]
    assert told == [200, 200, 404, 200]


async def test_what_is_another_tenants_cannot_be_told_from_what_is_not_there(
    ann: httpx.AsyncClient, stack: RunningStack
) -> None:
    unknown = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"
    body = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    asked: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("GET", f"{FILES}/{{}}", {}),
        ("DELETE", f"{FILES}/{{}}", {}),
        ("GET", f"{FILES}/{{}}/content", {}),
        ("GET", f"{FILES}/{{}}/content", {"headers": {"Range": "bytes=99999-"}}),
        ("GET", f"{FILES}/{{}}/content", {"headers": {"If-None-Match": "*"}}),
        ("GET", f"{FILES}/{{}}/thumbnail", {}),
        ("POST", f"{FILES}/{{}}/links", {"json": {}}),
        ("HEAD", f"{UPLOADS}/{{}}", {"headers": TUS}),
        ("PATCH", f"{UPLOADS}/{{}}", {"headers": {**TUS, **body}, "content": b"x"}),
        ("DELETE", f"{UPLOADS}/{{}}", {"headers": TUS}),
    )
    case, free = await new_case(ann), await stored(ann)
    linked = await stored(ann, b"In a case.", "a.txt")
    await attach(ann, case, linked)
    await until_state(ann, linked["id"], "linked")
    begun_ = (await begun(ann, 10)).rpartition("/")[2]

    async def told(http: httpx.AsyncClient, method: str, path: str, more: dict[str, Any], id_: str) -> Any:
        answer = await http.request(method, path.format(id_), **more)
        names = answer.headers.keys() - {"date", "traceparent"}
        return answer.status_code, sorted(names), answer.text.replace(id_, "~")

    async with Client(stack, tenant="other") as other, Client(stack, user="eve") as eve:
        for method, path, more in asked:
            for http, secret in ((other, free["id"]), (other, linked["id"]), (other, begun_), (eve, free["id"])):
                answers = [await told(http, method, path, more, id_) for id_ in (secret, unknown)]
                assert answers[0] == answers[1], (method, path)
                assert answers[0][0] == 404
        theirs = await new_case(other)
        for id_ in (free["id"], linked["id"], unknown):
            assert (await attach(other, theirs, {"id": id_, "name": "mine"})).status_code == 200
        gone = await until_detached(other, theirs, 3)
        await until_files(other, theirs)
        actors = {(event["actor"]["id"], event["actor"]["role"]) for event in gone}
        assert actors == {("attachment", "system")}
    assert (await ann.get(f"{FILES}/{free['id']}/content")).content == PDF
    assert await files_of(ann, case) == [linked["id"]]


async def test_a_counterpart_has_the_files_of_external_notes_and_gives_its_own(
    ann: httpx.AsyncClient, stack: RunningStack
) -> None:
    file = read_tenant_file("tenant: acme\ncounterpart: {maker: {}}", "tenant.yaml")
    await apply_changes(stack.bootstrap_servers, changes({}, file, prune=False), AuditTrail(reason=None))
    case = await new_case(ann)
    assert (await ann.post(command(case, "share"), json={"counterpart_tenant_id": "maker"})).status_code == 200
    files = [await stored(ann, f"{n}".encode(), f"{n}.txt") for n in range(2)]
    for each, visibility in zip(files, ("internal", "external"), strict=True):
        named = [{"id": each["id"], "name": each["name"]}]
        note = {"text": "See there.", "visibility": visibility, "attachments": named}
        assert (await ann.post(f"/api/v1/cases/{case['id']}/notes", json=note)).status_code == 200
        await until_state(ann, each["id"], "linked")
    async with (
        Client(stack, tenant="maker", user="max") as maker,
        Client(stack, tenant="stranger", user="max") as stranger,
        httpx.AsyncClient(base_url=stack.http_urls[0]) as nobody,
    ):
        for _ in range(600):
            answer = await maker.get(f"/api/v1/cases/{case['id']}/attachments")
            if answer.status_code == 200 and answer.json()["items"]:
                break
            await asyncio.sleep(0.1)
        assert [item["id"] for item in answer.json()["items"]] == [files[1]["id"]]
        told = [
            (await http.get(f"{FILES}/{each['id']}/content")).status_code
            for http in (maker, stranger)
            for each in files
        ]
        assert told == [404, 200, 404, 404]
        assert [(await maker.post(f"{FILES}/{each['id']}/links", json={})).status_code for each in files] == [404, 201]
        given = await stored(maker, b"From the maker.", "answer.txt")
        assert (await attach(maker, case, given)).status_code == 200
        await until_state(maker, given["id"], "linked")
        await until_files(ann, case, *files, given)  # her tenant's view is another than the maker's
        assert (await ann.get(f"{FILES}/{given['id']}/content")).content == b"From the maker."
        # What is detached is for its owner alone again, and links to it lead nowhere.
        url = (await maker.post(f"{FILES}/{files[1]['id']}/links", json={})).json()["url"]
        assert (await ann.post(command(case, "detach"), json={"attachment_id": files[1]["id"]})).status_code == 200
        await until_state(ann, files[1]["id"], "scanned")
        assert (await maker.get(f"{FILES}/{files[1]['id']}/content")).status_code == 404
        assert (await nobody.get(url)).status_code == 404


async def test_forms_names_types_and_room_are_bounded(ann: httpx.AsyncClient, stack: RunningStack, kept: Any) -> None:
    before = kept["uploads"].count_documents({})
    six = [("file", (f"{n}.txt", b"text", "text/plain")) for n in range(6)]
    assert (await ann.post(FILES, files=six)).status_code == 400
    five = await ann.post(FILES, files=six[:5])
    assert [file["name"] for file in five.json()["items"]] == [f"{n}.txt" for n in range(5)]
    program = await ann.post(FILES, files={"file": ("a.jpg", b"MZ" + bytes(100), "image/jpeg")})
    assert (program.status_code, program.json()["code"]) == (415, "unsupported_media_type")
    file = await stored(ann, b"text", "C:\\Users\\ann\\..\\log.txt")
    assert file["name"] == "log.txt"
    for name in ("..", "a\u202egpj.exe", "x" * 256):
        assert (await ann.post(FILES, files={"file": (name, b"text")})).status_code == 400
    large = await ann.post(
        UPLOADS, headers={**TUS, "Upload-Length": str(65 * 1024 * 1024), "Upload-Metadata": "filename YQ=="}
    )
    assert (large.status_code, large.json()["code"]) == (413, "too_large")
    async with Client(stack, tenant="full") as full:
        places = [await begun(full, 60 * 1024 * 1024) for _ in range(3)]
        refused = await full.post(
            UPLOADS, headers={**TUS, "Upload-Length": str(60 * 1024 * 1024), "Upload-Metadata": "filename YQ=="}
        )
        assert refused.json()["code"] == "quota_exceeded"
        await full.delete(places[0], headers=TUS)
        await begun(full, 60 * 1024 * 1024)
    assert kept["uploads"].count_documents({}) > before


async def test_a_tenants_own_bounds_hold_from_when_they_are_set(stack: RunningStack) -> None:
    live: Entries = {}

    async def set_(files: str) -> None:
        file = read_tenant_file(f"tenant: tight\nsettings: {{default: {{files: {files}}}}}", "tenant.yaml")
        await apply_changes(stack.bootstrap_servers, changes(live, file, prune=False), AuditTrail(reason=None))
        live.update(file.entries)

    async def told(http: httpx.AsyncClient, *files: bytes) -> tuple[int, str]:
        answer = await http.post(FILES, files=[("file", (f"{n}.txt", data)) for n, data in enumerate(files)])
        return answer.status_code, answer.json().get("code", "")

    async def until_it_holds(http: httpx.AsyncClient, refused: tuple[int, str], *files: bytes) -> None:
        for _ in range(60):  # where Kafka takes longer than a second to answer, what was known before counts
            if (answer := await told(http, *files)) == refused:
                return
        raise AssertionError(answer)

    async with Client(stack, tenant="tight") as tight, Client(stack, tenant="wide") as wide:
        assert await told(tight, b"a" * 200, PDF) == (201, "")
        await set_("{file_bytes_max: 100, quota_bytes: 20000, allowed_types: [text/*], per_request_max: 6}")
        await until_it_holds(tight, (413, "too_large"), b"a" * 101)
        assert await told(tight, b"%PDF-1.4 small") == (415, "unsupported_media_type")
        assert await told(tight, *[b"text"] * 6) == (201, "")
        await set_("{per_request_max: 1, quota_bytes: 6000}")
        await until_it_holds(tight, (400, "invalid_request"), b"one", b"two")
        assert await told(tight, b"b" * 900) == (413, "quota_exceeded")
        assert await told(tight, b"one") == (201, "")
        assert await told(wide, PDF, b"a" * 6000) == (201, "")


def test_the_inner_door_opens_to_nobody_without_a_pass(stack: RunningStack) -> None:
    (pid,) = stack.pids["attachment"]
    place = dict(line.split("=", 1) for line in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in line)[
        "ATTACHMENT_API_PORT"
    ]
    for method, path in (("POST", "/files"), ("GET", "/files/x"), ("PATCH", "/uploads/x"), ("GET", "/links/x")):
        for headers in ({}, {"callout-pass": "e30.e30."}):
            assert httpx.request(method, f"http://127.0.0.1:{place}{path}", headers=headers).status_code == 401


async def test_what_is_infected_is_kept_from_everybody_and_leaves_its_case(
    ann: httpx.AsyncClient, stack: RunningStack, clamd: Scanner | None
) -> None:
    if not clamd:
        pytest.skip("needs clamd (Debian: clamav-daemon)")
    case = await new_case(ann)
    with clamd.held():  # else it might be found before it is in the case
        file = await stored(ann, EICAR, "eicar.com")
        await attach(ann, case, file)
        await until_state(ann, file["id"], "linked")
    told = await until_told(stack, file, "unlinked")
    assert [each["type"] for each in told] == ["stored", "linked", "scanned", "unlinked"]
    assert [each["scan"] for each in told] == ["pending", "pending", "infected", "infected"]
    known = (await ann.get(f"{FILES}/{file['id']}")).json()
    assert (known["scan"], known["finding"], known["state"]) == ("infected", "Local.Eicar.UNOFFICIAL", "scanned")
    assert "case_id" not in known
    await until_files(ann, case)
    refused = await ann.get(f"{FILES}/{file['id']}/content")
    assert (refused.status_code, refused.json()["code"]) == (403, "quarantined")
    assert (await ann.post(f"{FILES}/{file['id']}/links", json={})).json()["code"] == "quarantined"


async def test_what_was_found_infected_does_not_stay_in_a_case(
    ann: httpx.AsyncClient, stack: RunningStack, clamd: Scanner | None
) -> None:
    if not clamd:
        pytest.skip("needs clamd (Debian: clamav-daemon)")
    case, file = await new_case(ann), await stored(ann, EICAR, "eicar.com")
    await until_told(stack, file, "scanned")
    assert (await attach(ann, case, file)).status_code == 200
    await until_detached(ann, case, 1)
    await until_files(ann, case)
    assert [each["type"] for each in await until_told(stack, file, "scanned")] == ["stored", "scanned"]


async def test_without_fresh_signatures_nothing_is_clean_and_pictures_are_made(ann: httpx.AsyncClient) -> None:
    drawn = io.BytesIO()
    Image.new("RGB", (900, 500), 77).save(drawn, "JPEG")
    file = await stored(ann, drawn.getvalue(), "photo.jpg")
    known = await until_state(ann, file["id"], "scanned")
    assert (known["scan"], known["thumbnail"], known["media_type"]) == ("unscanned", True, "image/jpeg")
    picture = await ann.get(f"{FILES}/{file['id']}/thumbnail")
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/webp")
    assert Image.open(io.BytesIO(picture.content)).size == (320, 178)
    plain = await stored(ann, os.urandom(9 * 1024 * 1024), "larger-than-clamd-takes.bin")
    assert (await until_state(ann, plain["id"], "scanned"))["scan"] == "unscanned"
    assert (await ann.get(f"{FILES}/{plain['id']}/thumbnail")).status_code == 404


async def told_events(stack: RunningStack) -> list[dict[str, Any]]:
    """Return what was told of files."""
    async with TopicReader(stack.bootstrap_servers, "attachment.events.v1") as reader:
        records = [record async for batch in reader.read(await reader.ends()) for record in batch]
    types = [dict(record.headers)["ce_type"].decode().split(".")[2] for record in records]
    return [json.loads(record.value) | {"type": type_} for record, type_ in zip(records, types, strict=True)]


async def until_told(stack: RunningStack, file: dict[str, Any], last: str) -> list[dict[str, Any]]:
    """Return what was told of a file, once something is told: that comes after it is stored."""
    for _ in range(600):
        told = [each for each in await told_events(stack) if each["attachment_id"] == file["id"]]
        if last in {each["type"] for each in told}:
            return told
        await asyncio.sleep(0.1)
    raise AssertionError(told)


async def until_detached(http: httpx.AsyncClient, case: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """Return the events by which files left a case, once there are so many."""
    for _ in range(600):
        history = (await http.get(f"/api/v1/cases/{case['id']}/history")).json()["items"]
        gone = [each["data"] for each in history if each["type"] == DETACHED]
        if len(gone) >= number:
            return gone
        await asyncio.sleep(0.1)
    raise AssertionError(gone)
