"""Servers under load: on free loopback ports, measured through /proc, ended whatever happens."""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define

from benchmarks.machine import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.machine import Interpreter

READY_WITHIN = 30.0
"""Seconds a server has to accept its first connection."""


class CouldNotStartError(RuntimeError):
    """A server did not come up; the message says why."""


@define
class Server:
    """A running server: where it listens, and what it uses."""

    label: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        """What wrk loads."""
        return f"http://127.0.0.1:{self.port}/object"

    def pids(self) -> list[int]:
        """The process and all below it."""
        found = [self.process.pid]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    found += [int(child) for child in children.read_text().split()]
                except OSError:  # a thread that ended while we looked
                    continue
        return found

    def resident(self) -> int:
        """Resident bytes of all its processes together."""
        pages = 0
        for pid in self.pids():
            try:
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except OSError:
                continue
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        ticks = 0
        for pid in self.pids():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


def raise_descriptor_limit() -> int:
    """Let this process and its children open as many descriptors as they may; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port() -> int:
    """A port that was free a moment ago, for servers that can't tell which one they were given."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def pinned(cpus: Sequence[int] | None, command: Sequence[str]) -> list[str]:
    """The command, kept on these cores."""
    if not cpus or shutil.which("taskset") is None:
        return list(command)
    return ["taskset", "-c", ",".join(map(str, cpus)), *command]


@contextmanager
def running(
    label: str,
    command: Sequence[str],
    *,
    port: int | None = None,
    cpus: Sequence[int] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Run a server for as long as the block lasts.

    Args:
        label: its name in tables.
        command: the program and its arguments.
        port: where it was told to listen; None: it says ``listening PORT`` on its first line.
        cpus: the cores it may run on.
        environment: added to this process's.

    Raises:
        CouldNotStartError: if it ended or stayed silent; with the last line it printed.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            pinned(cpus, command),
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if port is None else errors,
            stderr=errors,
            start_new_session=True,
        )
        server = Server(label=label, port=port or 0, process=process)
        try:
            try:
                if port is None:
                    server.port = _announced(process)
                _await_accepting(server)
            except CouldNotStartError as failure:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip().splitlines()
                raise CouldNotStartError(
                    f"{failure}: {said[-1] if said else 'it said nothing'}"
                ) from None
            yield server
        finally:
            _end(server)


def _announced(process: subprocess.Popen[bytes]) -> int:
    """The port on the server's first line."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], READY_WITHIN)
    words = process.stdout.readline().split() if ready else []
    if len(words) != 2 or words[0] != b"listening":
        raise CouldNotStartError("did not say where it listens")
    return int(words[1])


def _await_accepting(server: Server) -> None:
    """Wait until a connection is accepted."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise CouldNotStartError(f"ended with status {server.process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise CouldNotStartError(f"accepted no connection within {READY_WITHIN:.0f} s")


def _end(server: Server) -> None:
    """End the server and all below it: asked first, then without asking."""
    pids = server.pids()
    server.process.terminate()
    try:
        server.process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        pass
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    server.process.wait()
    if server.process.stdout is not None:
        server.process.stdout.close()


@contextmanager
def protocol(
    label: str,
    interpreter: Interpreter,
    dependencies: Path,
    arguments: Sequence[str],
    *,
    cpus: Sequence[int] | None = None,
) -> Iterator[Server]:
    """The protocol server of this folder, with the arguments given."""
    environment = {}
    if os.path.realpath(interpreter.path) != os.path.realpath(sys.executable):
        environment["PYTHONPATH"] = str(dependencies)
    command = [interpreter.path, "-m", "benchmarks.protocol_server", *arguments]
    with running(label, command, cpus=cpus, environment=environment) as server:
        yield server


NGINX = """
user {user};
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache levels=1:2 keys_zone=objects:10m inactive=1h;
    open_file_cache max=1000 inactive=1h;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://127.0.0.1:{origin};
            proxy_cache objects;
            add_header X-Cache $upstream_cache_status;
        }}
    }}
}}
"""

VARNISH = """
vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{origin}"; }}
sub vcl_deliver {{ set resp.http.X-Cache = obj.hits; }}
"""


@contextmanager
def nginx(origin: Server, *, cpus: Sequence[int] | None = None) -> Iterator[Server]:
    """A cache by nginx: one worker, files in memory where there is /dev/shm, access log off."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise CouldNotStartError("nginx is not installed")
    where = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="colorsched-bench-nginx-", dir=where) as folder:
        port = free_port()
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        settings = Path(folder) / "nginx.conf"
        settings.write_text(
            NGINX.format(
                folder=folder,
                port=port,
                origin=origin.port,
                user=_user_name(),
                descriptors=limit,
                connections=limit - 100,
            )
        )
        command = [program, "-p", folder, "-c", str(settings), "-g", "daemon off;"]
        with running("nginx", command, port=port, cpus=cpus) as server:
            yield server


def _user_name() -> str:
    """Who we are: nginx started by root would give its cache folder to another user otherwise."""
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


@contextmanager
def varnish(origin: Server, *, cpus: Sequence[int] | None = None) -> Iterator[Server]:
    """Varnish with a store in memory, jailing off, idle connections kept."""
    program = shutil.which("varnishd") or shutil.which("varnishd", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise CouldNotStartError("varnish is not installed")
    with tempfile.TemporaryDirectory(prefix="colorsched-bench-varnish-") as folder:
        port = free_port()
        settings = Path(folder) / "cache.vcl"
        settings.write_text(VARNISH.format(origin=origin.port))
        command = [program, "-F", "-j", "none", "-n", f"{folder}/work", "-f", str(settings)]
        command += ["-a", f"127.0.0.1:{port}", "-s", "malloc,64m", "-p", "timeout_idle=600"]
        with running("Varnish", command, port=port, cpus=cpus) as server:
            yield server


@contextmanager
def colorsched_serve(
    origin: Server,
    interpreter: Interpreter,
    dependencies: Path,
    *,
    workers: int = 1,
    label: str = "colorsched serve",
    cpus: Sequence[int] | None = None,
) -> Iterator[Server]:
    """This project's cache: as installed, access log off."""
    port = free_port()
    environment = {}
    if os.path.realpath(interpreter.path) != os.path.realpath(sys.executable):
        environment["PYTHONPATH"] = str(dependencies)
    command = [interpreter.path, "-m", "colorsched.cli", "serve"]
    command += ["--origin", f"http://127.0.0.1:{origin.port}", "--listen", f"127.0.0.1:{port}"]
    command += ["--workers", str(workers), "--access-log", "off", "--keepalive-timeout", "10m"]
    with running(label, command, port=port, cpus=cpus, environment=environment) as server:
        yield server
