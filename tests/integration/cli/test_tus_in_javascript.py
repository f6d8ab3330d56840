"""Uploads by tus-js-client, the library of browsers and Node, in pieces and over two processes."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from running_server import RunningServer, temporary_data_dir

_PROGRAM = """
import fs from "node:fs";
import tus from "tus-js-client";

const [url, key, file, stopAt, uploadUrl] = process.argv.slice(2);
const upload = new tus.Upload(fs.readFileSync(file), {
  endpoint: `${url}/api/uploads`,
  uploadUrl: uploadUrl || null,
  headers: { "x-api-key": key },
  metadata: { filename: "rows.csv", filetype: "text/csv" },
  chunkSize: 500_000,
  retryDelays: [0, 500, 1000],
  onChunkComplete: (size, sent) => {
    if (stopAt && sent >= Number(stopAt)) {
      upload.abort();
      console.log(JSON.stringify({ url: upload.url, sent }));
    }
  },
  onSuccess: () => console.log(JSON.stringify({ url: upload.url })),
  onError: (error) => {
    console.error(String(error));
    process.exit(1);
  },
});
upload.start();
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the program and the library."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node or npm is not installed")
    folder = tmp_path_factory.mktemp("tus")
    (folder / "package.json").write_text(json.dumps({"dependencies": {"tus-js-client": "4.3.1"}}))
    (folder / "upload.mjs").write_text(_PROGRAM)
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(install, cwd=folder, capture_output=True, encoding="utf-8", check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"tus-js-client cannot be installed: {done.stderr[-300:]}")
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with temporary_data_dir(is_made=True) as data_dir:
        running = RunningServer(data_dir, ("--workers", "1"), None)
        try:
            yield running.wait_until_ready()
        finally:
            running.close()


def test_tus_js_client_uploads_in_parts_and_resumes_in_another_process(
    server: RunningServer, packages: Path, tmp_path: Path
) -> None:
    key = server.make_key("tus-js")
    file = tmp_path / "rows.csv"
    file.write_bytes(b"platformName\n" + b"".join(b"tus %d\n" % number for number in range(150_000)))

    def upload(*arguments: str) -> dict[str, str]:
        command = ["node", "upload.mjs", server.url, key, str(file), *arguments]
        done = subprocess.run(command, cwd=packages, capture_output=True, encoding="utf-8", check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        told: dict[str, str] = json.loads(done.stdout.splitlines()[0])
        return told

    begun = upload("500000")
    tus = {"tus-resumable": "1.0.0"}
    with server.client(key) as api:
        offset = int(api.head(begun["url"], headers=tus).headers["upload-offset"])
        assert 500_000 <= offset < file.stat().st_size
        assert upload("", begun["url"])["url"] == begun["url"]
        reference = {"upload": begun["url"].rpartition("/")[2]}
        answer = api.post("/api/platforms/bulk", json=reference, headers={"prefer": "respond-async, wait=60"})
        assert (answer.status_code, answer.json()["successCount"]) == (200, 150_000)
        assert api.head(begun["url"], headers=tus).status_code == 404
