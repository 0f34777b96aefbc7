"""From nothing to a row of BiomedParse on two GPUs: `bench get`, then `bench run`, in an empty home.

The hub, its storage and the code host are stand-ins on this machine under their real names (``tests/stand_in_web.py``),
with the published layout of the gated file, made up by ``published.py``, and the true files of CLIP's tokenizer. The
two GPUs are stand-ins, too: what ``nvidia-smi`` says, and a proxy before the engine that takes the request for a GPU
out of a container and lets the model compute on the CPU in its place. Everything else is what a user has: the commands,
the network of declared size, the image, the seal, the shards.

Needs the image (``bench build --plugin biomedparse``), a folder of bare repositories ``<owner>/<name>``, and the files
that ``smoke_models.py --plugin biomedparse --published --keep FOLDER`` leaves. Prints what every step said, and the
seconds that it took.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.conftest import write_splits  # noqa: E402 - this is a script
from tests.stand_in_web import TOKEN, Blob, web  # noqa: E402

NVIDIA_SMI = """#!/bin/sh
case "$*" in
*--query-gpu*) for n in 0 1; do echo "$n, GPU-0000000$n-stand-in, Stand-in, 81559, 81000, 580.65.06"; done ;;
-L) for n in 0 1; do echo "GPU $n: Stand-in (UUID: GPU-0000000$n-stand-in)"; done ;;
*) echo "Driver Version: 580.65.06  CUDA Version: 13.0" ;;
esac
"""

#: In a container that asked for a GPU: the model computes on the CPU.
ON_THE_CPU = """
import importlib.util
import sys


class Finder:
    def find_spec(self, name, path=None, target=None):
        if name != "groundbench_sdk.torch_training":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            real = module.setup_device
            module.setup_device = lambda job: (real(job), "cpu")[1]

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
"""

#: A machine with the memory that two such containers may use.
BENCH = """
import harness.host.capacity
harness.host.capacity.usable_memory = lambda: 96 * 2**30
from harness.cli import main
main()
"""


@dataclass
class Engine:
    """A proxy before the engine's socket that stands in for the GPUs of its containers."""

    socket: Path
    site: str  #: where Python in the image looks for ``sitecustomize``
    stand_in: Path
    asked: list[list[str]] = field(default_factory=list)  #: ids of the GPUs of each container that asked for any

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Serve until the end of the context."""
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(self.socket))
            listening.listen(64)
            threading.Thread(target=self._serve, args=(listening,), daemon=True).start()
            yield

    def _serve(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listening.accept()
                threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        """Pass on one request, changed where it creates a container, and everything that follows in both directions."""
        raw = b""
        while b"\r\n\r\n" not in raw:
            if not (piece := client.recv(65536)):
                return
            raw += piece
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        if "/containers/create" in first:
            while len(body) < int(headers["content-length"]):
                body += client.recv(65536)
            body = json.dumps(self._changed(json.loads(body))).encode()
            headers["content-length"] = str(len(body))
        if "upgrade" not in headers:
            headers["connection"] = "close"  # one request a connection, so that each is seen
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect("/var/run/docker.sock")
            told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            engine.sendall(f"{first}\r\n{told}\r\n".encode() + body)
            threading.Thread(target=_pass, args=(client, engine), daemon=True).start()
            _pass(engine, client)
        client.close()

    def _changed(self, request: dict[str, Any]) -> dict[str, Any]:
        host = request.get("HostConfig") or {}
        if wanted := host.pop("DeviceRequests", None):
            self.asked.append([gpu for one in wanted for gpu in one["DeviceIDs"]])
            file = {"Type": "bind", "Source": str(self.stand_in), "Target": self.site, "ReadOnly": True}
            host["Mounts"] = [*(host.get("Mounts") or []), file]
            driver = {"PathOnHost": "/dev/null", "PathInContainer": "/dev/nvidiactl", "CgroupPermissions": "rw"}
            host["Devices"] = [*(host.get("Devices") or []), driver]
        return request


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _bench(home: Path, environment: dict[str, str], *arguments: str, code: int = 0) -> str:
    _say(f"$ bench {' '.join(arguments)}")
    command, began = [sys.executable, "-c", BENCH, "--home", str(home), *arguments], time.monotonic()
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    _say(ended.stderr.rstrip())
    _say(ended.stdout.rstrip())
    _say(f"({time.monotonic() - began:.1f} s)")
    if ended.returncode != code or "Traceback" in ended.stderr:
        raise SystemExit(f"exit code {ended.returncode}, not {code}")
    return ended.stdout


def _site(tag: str) -> str:
    """Return the path in the image at which Python looks for ``sitecustomize``."""
    code = (
        "import importlib.util, site; found = importlib.util.find_spec('sitecustomize'); "
        "print(found.origin if found else site.getsitepackages()[0] + '/sitecustomize.py')"
    )
    command = ["docker", "run", "--rm", "--network=none", "--entrypoint", "python", tag, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Do it, and check what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", required=True, help="tag of the image of biomedparse")
    parser.add_argument("--mirrors", type=Path, required=True, help="folder of bare repositories, <owner>/<name>")
    parser.add_argument("--files", type=Path, required=True, help="folder with the made-up files")
    parser.add_argument("--small", action="store_true", help="the files are of the reduced network: not ranked")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="first-contact-") as folder, web(_made(Path(folder) / "web")) as hosts:
        work = Path(folder)
        hosts.repositories = asked.mirrors.resolve()
        hosts.blobs["microsoft/BiomedParse", "biomedparse_v1.pt"] = Blob(
            (asked.files / "biomedparse_v1.pt").read_bytes(), gated=True
        )
        clip = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"
        for name in ("vocab.json", "merges.txt"):
            content = (asked.files / f"clip--{name}").read_bytes()
            hosts.blobs["openai/clip-vit-base-patch32", name] = Blob(content, large=False, commit=clip)
        tool = _made(work / "bin") / "nvidia-smi"
        tool.write_text(NVIDIA_SMI)
        tool.chmod(0o755)
        (work / "sitecustomize.py").write_text(ON_THE_CPU)
        (work / "sitecustomize.py").chmod(0o644)
        work.chmod(0o755)
        data = _thin(write_splits(work / "data"))
        engine = Engine(work / "docker.sock", _site(asked.image), work / "sitecustomize.py")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("BENCH_", "HF_", "CUDA_"))},
            **hosts.environment,
            "HOME": str(work),
            "PATH": f"{tool.parent}:{os.environ['PATH']}",
            "DOCKER_HOST": f"unix://{engine.socket}",
        }
        home, run = work / "home", ["run", "--plugin", "biomedparse", "--gpus", "2", "--dataset", str(data)]
        small = ["--param", "network=small", "--param", "image_size=64"] if asked.small else []
        with engine.running():
            _bench(home, environment, *run, code=3)  # names everything that is missing, and `bench get`
            _bench(home, environment, "get", "--plugin", "biomedparse", code=3)  # without a log-in
            environment["HF_TOKEN"] = TOKEN
            _bench(home, environment, "get", "--plugin", "biomedparse")
            document = json.loads(_bench(home, environment, *run, *small, "--json"))
            shown = _bench(home, environment, "results", "show", document["run"])
        assert document["coverage"]["ok"] == document["n_findings"] == 4, document["coverage"]
        reasons = [
            reason for reason in document["unrankable"] if not (small and reason.startswith("changed parameters"))
        ]
        assert not reasons, reasons
        assert "pinned by the hub" in shown
        stored = sum(path.stat().st_size for path in home.rglob("*") if path.is_file() and not path.is_symlink())
        _say(f"{stored / 1e9:.2f} GB in the home")
        gpus = {gpu for ids in engine.asked for gpu in ids}
        assert len(gpus) == 2, engine.asked
        _say(f"a {'' if small else 'ranked '}row of {document['n_findings']} findings on {sorted(gpus)}")
        shutil.rmtree(home, ignore_errors=True)


def _thin(data: Path) -> Path:
    """Leave two slices of each case, which both findings cross: a CPU takes half a minute a slice."""
    for path in data.glob("*/*.nii.gz"):
        image = nib.load(path)
        nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[..., 3:5], image.affine), path)
    return data


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
