"""The command line: `colorsched serve` and `colorsched origin`."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING, Any

from colorsched import Runtime, __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from colorsched.web.config import Settings
    from colorsched.web.server import Service

_EXAMPLES = """\
examples:
  colorsched serve                                  try it: with a built-in demonstration origin
  colorsched serve --demo-delay 0.5                 the same, with an origin that takes its time
  colorsched serve --origin http://127.0.0.1:9000   in front of your application
  colorsched serve --origin http://app:9000 --listen :80 --cache-size 1G --admin 127.0.0.1:8081

Sizes take k, M and G; durations ms, s, m and h. Ctrl-C and SIGTERM let running requests end, a
second one cuts them; SIGHUP opens the access log anew.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status: 0, 1 for failures, 2 for wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return 2
    try:
        import httptools  # noqa: F401 - only to see whether it is there
    except ImportError:
        return _fail("the web server needs its extra: pip install 'colorsched[web]'")
    try:
        return int(options.run(options))
    except _usage_error() as error:
        parser.error(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(where + (error.strerror or str(error)))


def _usage_error() -> type[Exception]:
    from colorsched.web.config import ConfigError

    return ConfigError


def _fail(why: str) -> int:
    print(f"colorsched: {why}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="colorsched",
        description="A caching HTTP/1.1 reverse proxy that runs on colored callbacks.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"colorsched {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_serve(commands)
    _add_origin(commands)
    return parser


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser(
        "serve",
        help="start the caching web server",
        description="Starts the caching web server in front of an HTTP origin.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.set_defaults(run=_serve)
    add = serve.add_argument
    add("--origin", metavar="URL", help="where to forward to; default: a demonstration origin")
    add("--listen", metavar="HOST:PORT", default="127.0.0.1:8080", help="default: %(default)s")
    add("--admin", metavar="HOST:PORT", help="serve statistics there, as /-/stats")
    add("--workers", metavar="N", type=int, help="default: one with the GIL, else one a core")
    add(
        "--access-log",
        metavar="PATH",
        default="off",
        help='or "-" for standard output; default: off',
    )
    add("--host-header", metavar="HOST", help="sent to the origin; default: the client's")
    add("--no-cache-status", action="store_true", help="leave out the Cache-Status field")
    add("--grace", metavar="TIME", default="30s", help="for running requests; default: %(default)s")

    store = serve.add_argument_group("store")
    add = store.add_argument
    add("--cache-size", metavar="SIZE", default="64M", help="default: %(default)s")
    add("--max-object", metavar="SIZE", default="8M", help="larger ones pass; default: %(default)s")

    limits = serve.add_argument_group("limits, beyond which clients get 414, 431 and 413")
    add = limits.add_argument
    add("--max-request-line", metavar="SIZE", default="8k", help="default: %(default)s")
    add("--max-headers", metavar="SIZE", default="32k", help="default: %(default)s")
    add("--max-body", metavar="SIZE", default="64M", help="default: %(default)s")

    timeouts = serve.add_argument_group("time limits")
    add = timeouts.add_argument
    add(
        "--header-timeout",
        metavar="TIME",
        default="10s",
        help="a request's head; default: %(default)s",
    )
    add(
        "--body-timeout", metavar="TIME", default="30s", help="between pieces; default: %(default)s"
    )
    add(
        "--keepalive-timeout",
        metavar="TIME",
        default="60s",
        help="idle clients; default: %(default)s",
    )
    add(
        "--send-timeout",
        metavar="TIME",
        default="60s",
        help="clients that stall; default: %(default)s",
    )
    add(
        "--connect-timeout",
        metavar="TIME",
        default="5s",
        help="to the origin; default: %(default)s",
    )
    add("--read-timeout", metavar="TIME", default="60s", help="of the origin; default: %(default)s")

    demo = serve.add_argument_group("demonstration origin")
    demo.add_argument(
        "--demo-delay",
        metavar="TIME",
        default="0",
        help="added to each answer; default: %(default)s",
    )


def _add_origin(commands: Any) -> None:
    origin = commands.add_parser(
        "origin",
        help="start the demonstration origin alone",
        description="Starts the demonstration origin alone; its page / says what it offers.",
    )
    origin.set_defaults(run=_origin)
    add = origin.add_argument
    add("--listen", metavar="HOST:PORT", default="127.0.0.1:9000", help="default: %(default)s")
    add(
        "--demo-delay",
        metavar="TIME",
        default="0",
        help="added to each answer; default: %(default)s",
    )
    add("--workers", metavar="N", type=int, help="default: one with the GIL, else one a core")


def _settings(options: argparse.Namespace, origin: Any) -> Settings:
    from colorsched.web import config
    from colorsched.web.http1 import Limits

    size, duration = config.parse_size, config.parse_duration
    log = options.access_log
    return config.Settings(
        origin=origin,
        listen=config.parse_address(options.listen),
        admin=None if options.admin is None else config.parse_address(options.admin),
        cache_size=size(options.cache_size),
        max_object=size(options.max_object),
        limits=Limits(
            request_line=size(options.max_request_line),
            fields=size(options.max_headers),
            body=size(options.max_body),
        ),
        timeouts=config.Timeouts(
            head=duration(options.header_timeout),
            body=duration(options.body_timeout),
            idle=duration(options.keepalive_timeout),
            write=duration(options.send_timeout),
            connect=duration(options.connect_timeout),
            origin=duration(options.read_timeout),
        ),
        access_log=None if log == "off" else log,
        cache_status=not options.no_cache_status,
        host=config.parse_host(options.host_header),
        grace=duration(options.grace),
    )


def _serve(options: argparse.Namespace) -> int:
    from colorsched.web import config
    from colorsched.web.server import DemoService, Server

    placeholder = config.Origin("127.0.0.1", 0)
    settings = _settings(
        options, placeholder if options.origin is None else config.parse_origin(options.origin)
    )
    delay = config.parse_duration(options.demo_delay)
    with Runtime(workers=_workers(options)) as runtime:
        demo = None
        if options.origin is None:
            address = config.Address("127.0.0.1", 0)
            demo = DemoService(runtime, address, settings.timeouts, delay=delay)
            from attrs import evolve

            port = demo.listener.address.port
            settings = evolve(settings, origin=config.Origin("127.0.0.1", port))
            demo.start()
        try:
            server = Server(runtime, settings)
        except OSError:
            if demo is not None:
                demo.stop()
            raise
        lines = [
            f"listening on http://{server.listener.address}",
            f"origin {settings.origin}"
            + (", a demonstration (its page / says what it offers)" if demo else ""),
            f"cache {options.cache_size}, objects up to {options.max_object}",
        ]
        if server.admin is not None:
            lines.append(f"statistics at http://{server.admin.address}/-/stats")
        lines.append(f"try: curl -i http://{_reachable(server.listener.address)}/")
        _run(runtime, server, lines, reopen=server.reopen_log)
        if demo is not None:
            demo.stop()
            demo.wait()
    return 0


def _origin(options: argparse.Namespace) -> int:
    from colorsched.web import config
    from colorsched.web.server import DemoService

    address = config.parse_address(options.listen)
    delay = config.parse_duration(options.demo_delay)
    with Runtime(workers=_workers(options)) as runtime:
        demo = DemoService(runtime, address, config.Timeouts(), delay=delay)
        where = demo.listener.address
        lines = [
            f"demonstration origin on http://{where}",
            f"try: curl -i http://{_reachable(where)}/",
        ]
        _run(runtime, demo, lines)
    return 0


def _workers(options: argparse.Namespace) -> int | None:
    from colorsched.web.config import ConfigError

    workers: int | None = options.workers
    if workers is not None and not 1 <= workers <= 1024:
        raise ConfigError(f"--workers takes a number from 1 to 1024, not {workers}")
    return workers


def _run(
    runtime: Runtime,
    service: Service,
    lines: list[str],
    *,
    reopen: Callable[[], None] | None = None,
) -> None:
    """Say what was found, serve, and end when a signal asks for it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        runtime.add_signal_handler(number, service.stop)
        signal.siginterrupt(number, True)  # so that it gets the main thread out of its wait
    if reopen is not None:
        for number in (signal.SIGHUP, signal.SIGUSR1):
            runtime.add_signal_handler(number, reopen)
            signal.siginterrupt(number, True)
    service.start()
    for line in [_interpreter(runtime), *lines]:
        print(line, flush=True)
    try:
        service.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            runtime.remove_signal_handler(number)


def _interpreter(runtime: Runtime) -> str:
    version = ".".join(str(part) for part in sys.version_info[:3])
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    workers = runtime.stats().workers
    lock = "with the GIL" if gil else "free-threaded"
    plural = "" if workers == 1 else "s"
    name = sys.implementation.name.replace("cpython", "CPython")
    return f"colorsched {__version__} on {name} {version} {lock}, {workers} worker{plural}"


def _reachable(address: Any) -> str:
    """The address as this machine can reach it: "every host" is no host to connect to."""
    from colorsched.web.config import Address

    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
    return str(Address(everywhere.get(address.host, address.host), address.port))


if __name__ == "__main__":
    sys.exit(main())
