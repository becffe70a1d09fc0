"""Runs download scripts of packages against a server of its own, with bash as it is or as POSIX has it.

    check_script.py --maker PORT [--posix] [--bash32 PATH] [--shellcheck PATH] [--figures] [NAME...]

The test that runs it makes the scripts, and listens on PORT. Needs nothing but the standard library, bash and curl.
NAME: only checks whose names contain it.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = pathlib.Path(__file__).resolve().parents[2] / "src/papers/script/download.sh"
SECRET = "X-Amz-Signature=c0ffee5ec2e7"
ID = "pkg.01JR6ZTCE68DY8QC4W7DR2JKZX"
TAG = "7DR2JKZX"
FUTURE = "2099-01-02T03:04:05Z"
PAST = "2020-01-02T03:04:05Z"
DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


# Control characters in paths are refused when a script is made. So that it is seen what a script itself does with them,
# they are written as these letters, and put into the script once it is there.
STAND_INS = {code: chr(0xE000 + code) for code in [*range(1, 10), *range(11, 32), 127]}


# --- The server -----------------------------------------------------------------------------------------------------


class Thing:
    """An object, and how the server treats those who want it."""

    def __init__(self, data, mode="ok", times=0, size=None):
        self.data, self.mode, self.times = data, mode, times
        self.size = len(data) if size is None else size
        self.ranges = []  # of each request


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path)
        key = urllib.parse.unquote(parts.path)[1:]
        if SECRET not in parts.query:
            return self.answer(400)
        if key.startswith("redirect/"):
            to = "/" + urllib.parse.quote(key[len("redirect/"):]) + "?" + parts.query
            return self.answer(302, headers=[("Location", to)])
        thing = self.server.things.get(key)
        if thing is None:
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        wanted = self.headers.get("Range")
        with self.server.lock:
            thing.ranges.append(wanted)
            nth = len(thing.ranges)
        if thing.mode == "denied":
            return self.answer(403, DENIED)
        if thing.mode == "busy" and nth <= thing.times:
            return self.answer(500, b"<Error/>")
        begin, status, headers = 0, 200, [("Accept-Ranges", "bytes")]
        if wanted and thing.mode != "no-ranges":
            begin = int(wanted.removeprefix("bytes=").split("-")[0])
            if begin >= len(thing.data):
                return self.answer(416, b"<Error/>")
            status = 206
            headers = [("Content-Range", f"bytes {begin}-{len(thing.data) - 1}/{len(thing.data)}")]
        body = thing.data[begin:]
        if thing.mode == "cut" and nth <= thing.times:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.close_connection = True
            return None
        if thing.mode == "slow":
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for i in range(0, len(body), 1024):
                try:
                    self.wfile.write(body[i : i + 1024])
                    self.wfile.flush()
                except OSError:
                    return None
                time.sleep(0.05)
            return None
        return self.answer(status, body, headers)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


# --- Runs -----------------------------------------------------------------------------------------------------------


class Run:
    def __init__(self, process):
        self.code, self.out, self.err = process.returncode, process.stdout.decode(), process.stderr.decode()

    def __str__(self):
        return f"code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class World:
    """A folder, a server, and a bash."""

    def __init__(self, server, maker, shell):
        self.server, self.maker, self.shell = server, maker, shell
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="check-script."))
        self.dir = self.base / "down load"
        self.dir.mkdir()
        (self.base / "tmp").mkdir()
        self.things = {}
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.base), "TMPDIR": str(self.base / "tmp")}
        self.env |= {"LANG": "C.UTF-8"}
        server.things = self.things

    def put(self, path, data=b"data\n", mode="ok", times=0, size=None):
        thing = self.things[path] = Thing(data, mode, times, size)
        return thing

    def ask(self, what="script", expires=FUTURE, sums=True, redirect=False):
        rows = []
        for path, thing in self.things.items():
            key = ("redirect/" if redirect else "") + path
            url = f"http://127.0.0.1:{self.server.server_port}/{urllib.parse.quote(key)}?a='b'&c=[1-2]{{d,e}}&{SECRET}"
            row = {"path": path.translate(STAND_INS), "size": thing.size, "url": url}
            if sums in (True, "md5"):
                row["md5"] = hashlib.md5(thing.data).hexdigest()
            if sums in (True, "sha256"):
                row["sha256"] = hashlib.sha256(thing.data).hexdigest()
            rows.append(row)
        ask = {"what": what, "name": "it-s", "id": ID, "expires": expires, "rows": rows}
        with socket.create_connection(("127.0.0.1", self.maker)) as connection:
            connection.sendall(json.dumps(ask).encode())
            connection.shutdown(socket.SHUT_WR)
            text = b"".join(iter(lambda: connection.recv(65536), b""))
        assert text, "nothing was made"
        back = {ord(letter): code for code, letter in STAND_INS.items()}
        return text.decode().translate(back).encode()

    def script(self, **kwargs):
        path = self.base / "download-data.it's.sh"
        path.write_bytes(self.ask(**kwargs))
        return path

    def argv(self, *args, script=None):
        return [*self.shell, str(script or self.base / "download-data.it's.sh"), *args]

    def run(self, *args, path=True, env=None, script=None, cwd=None):
        args = ["--download-path", str(self.dir), *args] if path else args
        process = subprocess.run(
            self.argv(*args, script=script), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=self.env | (env or {}), cwd=cwd or self.base, timeout=300,
        )
        run = Run(process)
        if "--dryrun" not in args and "--dry-run" not in args:
            assert SECRET not in run.out + run.err, f"a link was shown: {run}"
        left = os.listdir(self.base / "tmp")
        assert not left, f"temporary files were left: {left}"
        return run

    def same(self, *paths):
        for path in paths or self.things:
            there = pathlib.Path(os.path.join(self.dir, path)).read_bytes()
            assert there == self.things[path].data, f"{path!r} differs"

    def files(self):
        return sorted(str(path.relative_to(self.dir)) for path in self.dir.rglob("*") if not path.is_dir())

    def close(self):
        shutil.rmtree(self.base)


def equal(a, b, note=""):
    assert a == b, f"{a!r} != {b!r} {note}"


def has(text, *parts):
    for part in parts:
        assert part in text, f"{part!r} not in:\n{text}"


# --- Checks ---------------------------------------------------------------------------------------------------------

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


@check
def downloads_and_messages(w):
    w.put("fastq/a.fastq.gz", b"x" * 1536)
    w.put("top.txt", b"1")
    w.put("fastq/b/empty", b"")
    w.script()
    run = w.run()
    equal(run.code, 0, run)
    equal(run.out, "")
    d = w.dir
    equal(
        run.err.splitlines(),
        [
            f"Downloading 3 files to {d}",
            f"A total of 1537 ( 1.5 KiB ) will be downloaded to {d}",
            f"Downloading 1536 bytes (1.5 KiB) to '{d}/fastq/a.fastq.gz', 1 / 3",
            f"Downloading 1 bytes (1 byte) to '{d}/top.txt', 2 / 3",
            f"Downloading 0 bytes (0 bytes) to '{d}/fastq/b/empty', 3 / 3",
            "Download complete",
        ],
    )
    w.same()
    asked = sum(len(thing.ranges) for thing in w.things.values())
    run = w.run()
    equal(run.code, 0)
    has(run.err, f"File already exists: {d}/top.txt", f"File already exists: {d}/fastq/b/empty", "Download complete")
    assert "Downloading 1 bytes" not in run.err
    equal(sum(len(thing.ranges) for thing in w.things.values()), asked, "a rerun has downloaded")
    equal(w.files(), sorted(w.things))


@check
def usage_and_refusals(w):
    w.put("a")
    w.script()
    run = w.run(path=False)
    equal(run.code, 1)
    has(run.err, "Error! Download path is required")
    has(run.out, "Usage: download-data.sh")
    run = w.run("--download-path", path=False)
    equal(run.code, 1)
    has(run.err, "Error! Download path is required")
    run = w.run("--download-path", "/no/such", path=False)
    equal((run.code, run.err), (1, "Error! Download path '/no/such' does not exist\n"))
    for flag in ("-h", "--help"):
        run = w.run(flag, path=False)
        equal((run.code, run.err), (0, ""))
        has(run.out, "--download-path", "--dryrun", "--decompress-ora", "--print-tree", "--verify", "--only", "--jobs", ID)
    for bad in ("0", "x", "65", "-1", "", "1;id"):
        equal(w.run("--jobs", bad).code, 1)
    run = w.run("--nonsense")
    equal(run.code, 1)
    has(run.err, "Unknown option '--nonsense'")
    run = w.run("--decompress-ora", env={"PATH": "/usr/bin:/bin"})
    equal((run.code, run.err), (1, "Error! 'orad' command is not found, please install it to decompress .ora files\n"))
    fake_orad(w)
    for reference in ({}, {"ORADATA_PATH": ""}, {"ORADATA_PATH": "/no/such"}):
        run = w.run("--decompress-ora", env=reference)
        equal((run.code, run.err), (1, "Error! ORADATA_PATH is not set or does not point to a valid directory\n"))
    run = w.run("--only", "zzz*")
    equal(run.code, 1)
    has(run.err, "No file of the package matches")
    equal(w.files(), [])


@check
def ways_to_name_the_path(w):
    w.put("x/a")
    w.script()
    (w.base / "-d").mkdir()
    for given, shown in (("-d", "./-d"), ("-d///", "./-d"), ("./-d/", "./-d"), (".", ".")):
        run = w.run("--download-path", given, path=False)
        equal(run.code, 0, run)
        has(run.err, f"Downloading 1 files to {shown}\n")
        equal((w.base / given / "x/a").read_bytes(), b"data\n")
        (w.base / given / "x/a").unlink()
    run = w.run(f"--download-path={w.dir}", "--jobs=2", path=False)
    equal(run.code, 0)
    w.same()
    # piped into bash, with no file of its own
    shutil.rmtree(w.dir / "x")
    text = (w.base / "download-data.it's.sh").read_bytes()
    process = subprocess.run(
        [*w.shell, "-s", "--", "--download-path", str(w.dir), "--only", "x*"], input=text, env=w.env, cwd=w.base,
        capture_output=True, check=False,
    )
    equal(process.returncode, 0, process.stderr)
    has(process.stderr.decode(), "Downloading ? files")
    w.same()


@check
def dry_run(w):
    names = ["a/it's $(touch sentinel) `x`.txt", "a/plain", "b\x1b[31m\\", "a/there"]
    for name in names:
        w.put(name, name.encode())
    (w.dir / "a").mkdir()
    (w.dir / "a/there").write_bytes(b"a/there")
    w.script()
    shutil.rmtree(w.dir / "a")
    for flag in ("--dryrun", "--dry-run"):
        run = w.run(flag)
        equal(run.code, 0, run)
        equal(w.files(), [])
        lines = run.out.splitlines()
        equal([line.split()[0] for line in lines], ["mkdir", "curl", "curl", "curl", "curl"], run)
        has(run.out, "mkdir -p '", "--fail --location --retry 5", "--continue-at -", SECRET)
        assert "\x1b" not in run.out + run.err
    # what it prints can be pasted
    subprocess.run([*w.shell], input=run.out.encode(), env=w.env, cwd=w.base, check=True, capture_output=True)
    w.same()
    assert not list(w.base.rglob("sentinel"))
    run = w.run("--dryrun")
    equal(run.out, "")
    equal(run.err.count("File already exists"), 4)


HOSTILE = [
    "$(touch sentinel)", "`touch sentinel`", "a'b", "''", "a\"b", "\\", "a\\", "\\'", "*", "?", "[a-z]", "-rf", "--help/-x",
    "~", "~root/x", "a  b", " lead", "trail ", "\U0001f600/\u00fc\u6f22", "#1", "a#1b", "%{http_code}", "$HOME", "${x}",
    "{a,b}", "!!", "a;touch sentinel", "a|b", "a&b", "a>b", "a<b", "(", ")", "=3", "\ttab\t", "cr\r", "\r", "\x01\x02",
    "\x7f", "\x1b]0;x\x07", "...", "..a/b..", "&", "\\n", "\\\"", "a\u2028b", "'; touch sentinel; '", "$'\\n'", "folded",
    "\"; touch sentinel; \"", "x' 'y", "@", "--config", "url = \"http:x\"", "n" * 255, "\u00fc" * 120 + "/" + "m" * 240,
    "\\\\server\\share", "a\\\nb".replace("\n", ""), "\xa0",
]


@check
def hostile_names(w):
    for number, name in enumerate(HOSTILE):
        w.put(name, f"{number} {name}".encode())
    for jobs, locale in (("1", {"LANG": "de_DE.ISO-8859-1"}), ("3", {"LC_ALL": "C"}), ("1", {"LC_ALL": "C.UTF-8"})):
        w.script()
        run = w.run("--jobs", jobs, env=locale)
        equal(run.code, 0, run)
        w.same()
        equal(len(w.files()), len(HOSTILE))
        assert not list(w.base.rglob("sentinel")) and not os.path.exists("sentinel")
        assert not [c for c in run.err if ord(c) < 32 and c != "\n"], "a control character on the terminal"
        run = w.run("--verify")
        equal(run.code, 0, run)
        run = w.run("--print-tree")
        equal(run.code, 0, run)
        assert not list(w.base.rglob("sentinel")) and not os.path.exists("sentinel")
        shutil.rmtree(w.dir)
        w.dir.mkdir()


@check
def rows_that_leave_the_folder_are_refused(w):
    w.put("good")
    text = w.ask().decode()
    line = next(line for line in text.splitlines() if line.startswith("f "))
    bad = ["/etc/x", "../out", "a/../../out", "a/./b", "a//b", "", "..", "."]
    lines = [line.replace("'good'", f"'{path}'") for path in bad]
    text = text.replace(line, "\n".join([*lines, line])).replace("package_files=1", f"package_files={len(bad) + 1}")
    script = w.base / "bad.sh"
    script.write_text(text)
    for jobs in ("1", "2"):
        run = w.run("--jobs", jobs, script=script)
        equal(run.code, 2, run)
        equal(run.err.count("leads out of the download path"), 2 * len(bad))
    equal(w.files(), ["good"])
    assert not (w.base / "out").exists()
    equal(w.run("--verify", script=script).code, 2)


@check
def symbolic_links_are_not_followed(w):
    for path in ("link", "dir/a", "dangling", "deep/er/b", "fine"):
        w.put(path)
    w.script()
    outside = w.base / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"")
    (w.dir / "link").symlink_to(outside / "x")
    (w.dir / "dir").symlink_to(outside)
    (w.dir / "dangling").symlink_to(outside / "none")
    (w.dir / "deep").mkdir()
    (w.dir / "deep/er").symlink_to(outside)
    (w.dir / f"fine.{TAG}.part").symlink_to(outside / "part")
    run = w.run()
    equal(run.code, 2, run)
    equal(run.err.count("a symbolic link is in its way"), 10)
    equal(os.listdir(outside), ["x"])
    equal((outside / "x").read_bytes(), b"")
    (w.dir / f"fine.{TAG}.part").unlink()
    run = w.run()
    equal(run.code, 2)
    w.same("fine")
    run = w.run("--verify")
    equal(run.code, 2)
    equal(run.err.count("a symbolic link is in its way"), 4)
    # the download path itself may be one
    (w.base / "l").symlink_to(w.dir)
    run = w.run("--download-path", str(w.base / "l"), "--only", "fine", path=False)
    equal(run.code, 0, run)


@check
def what_is_in_the_way_stays(w):
    w.put("larger", b"12345")
    w.put("folder", b"12345")
    w.put("file/below", b"12345")
    w.put("fine", b"12345")
    w.script()
    (w.dir / "larger").write_bytes(b"123456")
    (w.dir / "folder").mkdir()
    (w.dir / "file").write_bytes(b"f")
    for jobs in ("1", "3"):
        run = w.run("--jobs", jobs)
        equal(run.code, 2, run)
        has(run.err, "larger: a larger file is there (6 bytes, not 5): it is not overwritten", "file/below: its folder")
        has(run.err, "Error! 3 of 4 files were not downloaded:", "folder: something that is not a file has its name")
        assert "Download complete" not in run.err
    equal((w.dir / "larger").read_bytes(), b"123456")
    equal((w.dir / "file").read_bytes(), b"f")
    w.same("fine")


@check
def cut_files_are_resumed(w):
    data = os.urandom(300_000)
    cut = w.put("cut", data, "cut", 2)
    part = w.put("part", data)
    short = w.put("short", data)
    wrong = w.put("wrong", data)
    whole = w.put("whole", data)
    long = w.put("long-part", data)
    w.script()
    (w.dir / f"part.{TAG}.part").write_bytes(data[:1000])
    (w.dir / "short").write_bytes(data[:2000])
    (w.dir / f"wrong.{TAG}.part").write_bytes(b"?" * 1000)
    (w.dir / f"whole.{TAG}.part").write_bytes(data)
    (w.dir / f"long-part.{TAG}.part").write_bytes(data + b"x")
    run = w.run()
    equal(run.code, 0, run)
    w.same()
    equal(cut.ranges, [None, "bytes=150000-", "bytes=225000-"])
    equal(part.ranges, ["bytes=1000-"])
    equal(short.ranges, ["bytes=2000-"])
    equal(wrong.ranges, ["bytes=1000-", None])
    equal(long.ranges, [None])
    equal(w.files(), sorted(w.things))
    assert len(whole.ranges) <= 1
    # an interrupted run is continued by the next
    slow = w.put("slow", os.urandom(100_000), "slow")
    w.script()
    for jobs in ("1", "2"):
        process = subprocess.Popen(
            w.argv("--download-path", str(w.dir), "--only", "slow", "--jobs", jobs), env=w.env, cwd=w.base,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )
        waiting = w.dir / f"slow.{TAG}.part"
        begun = waiting.stat().st_size if waiting.exists() else 0
        wait_for(lambda: waiting.exists() and waiting.stat().st_size > begun + 9000)
        # as a terminal does it
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=20)
        equal(process.returncode, 130, err)
        has(err.decode(), "Interrupted")
        equal(os.listdir(w.base / "tmp"), [])
        there = waiting.stat().st_size
        time.sleep(0.3)
        equal(waiting.stat().st_size, there, "curl goes on")
    slow.mode = "ok"
    slow.ranges.clear()
    equal(w.run("--only", "slow").code, 0)
    equal(slow.ranges, [f"bytes={there}-"])
    w.same("slow")


def wait_for(what, within=20):
    end = time.monotonic() + within
    while not what():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


@check
def servers_without_ranges(w):
    data = os.urandom(50_000)
    thing = w.put("a", data, "no-ranges")
    w.script()
    (w.dir / f"a.{TAG}.part").write_bytes(data[:100])
    run = w.run()
    equal(run.code, 0, run)
    w.same()
    equal(thing.ranges, ["bytes=100-", None])


@check
def failures_go_on(w):
    w.put("1", b"1")
    w.put("2-denied", b"22", "denied")
    w.put("3", b"3")
    w.put("4-gone", b"4")
    w.put("5-busy", b"55555", "busy", 2)
    w.put("6-shrunk", b"66", size=6)
    w.put("7-grown", b"7777777", size=3)
    w.put("8-nothing", b"", "denied")
    w.put("9", b"9")
    w.script(sums=False)
    del w.things["4-gone"]
    for jobs in ("1", "4"):
        started = time.monotonic()
        run = w.run("--jobs", jobs)
        equal(run.code, 2, run)
        w.same("1", "3", "5-busy", "9")
        end = run.err[run.err.index("Error! 5 of 9 files were not downloaded:"):]
        has(end, "  2-denied: HTTP 403, the link is not accepted", "  4-gone: HTTP 404", "  6-shrunk: ", "  7-grown: ", "  8-nothing: HTTP 403")
        has(end, f"A link was not accepted, though the links of this script expire only at {FUTURE}.", "ask for a new script")
        assert "Download complete" not in run.err
        assert not [name for name in w.files() if name[0] in "24678" and "part" not in name], w.files()
        assert time.monotonic() - started < 30
        for thing in w.things.values():
            thing.ranges.clear()
    equal(w.run("--only", "[1359]*").code, 0)


@check
def unreachable_servers(w):
    w.put("a")
    w.put("b")
    script = w.script()
    script.write_text(script.read_text().replace(f":{w.server.server_port}/", ":1/"))
    run = w.run()
    equal(run.code, 2, run)
    has(run.err, "  a: ", "  b: ", "Run this script again to try them again.")


@check
def expired_links(w):
    for number in range(5):
        w.put(f"f{number}", b"x", "denied")
    w.script(expires=PAST)
    run = w.run("--jobs", "2")
    equal(run.code, 2, run)
    sentence = f"The links of this script expired at {PAST}: please ask for a new script."
    equal(run.err.splitlines()[2], sentence)
    equal(run.err.splitlines()[-1], sentence)
    has(run.err, "Error! 5 of 5 files were not downloaded:")
    # they may still work, if it is the clock that is wrong
    for thing in w.things.values():
        thing.mode = "ok"
    equal(w.run().code, 0)


@check
def redirects(w):
    data = os.urandom(9000)
    w.put("a/b c", data)
    w.script(redirect=True)
    (w.dir / "a").mkdir()
    (w.dir / f"a/b c.{TAG}.part").write_bytes(data[:500])
    equal(w.run().code, 0)
    w.same()
    equal(w.things["a/b c"].ranges, ["bytes=500-"])


@check
def many_jobs(w):
    for number in range(200):
        w.put(f"d{number % 7}/f{number}", os.urandom(number * 13), *(("busy", 1) if number == 50 else ()))
    w.put("d1/gone", b"x", "denied")
    w.put("d1/big", os.urandom(9_000_000))
    w.script()
    run = w.run("--jobs", "4")
    equal(run.code, 2, run)
    w.same(*[path for path in w.things if path != "d1/gone"])
    has(run.err, "Error! 1 of 202 files were not downloaded:\n  d1/gone: HTTP 403", ", 202 / 202\n")
    equal(run.err.count("\nDownloading ") + 1, 203)
    equal(len(w.files()), 201)
    run = w.run("--jobs", "4", "--verify")
    equal(run.code, 2, run)
    has(run.err, "201 of 202 files are as in the package: 201 by SHA-256", "\n  d1/gone: missing")


@check
def only(w):
    for path in ("a/x.vcf.gz", "a/x.bam", "b/y.vcf.gz", "top"):
        w.put(path, path.encode())
    w.script()
    run = w.run("--only", "*.vcf.gz", "--only", "t?p")
    equal(run.code, 0, run)
    equal(w.files(), ["a/x.vcf.gz", "b/y.vcf.gz", "top"])
    has(run.err, "Downloading 3 files", f"A total of {10 + 10 + 3} ( 23 bytes )", ", 3 / 3")
    run = w.run("--verify", "--only", "a/*")
    equal(run.code, 2)
    has(run.err, "Error! 1 of 2 files have to be fetched again:\n  a/x.bam: missing")
    run = w.run("--totals", "--only", "a/*", path=False)
    equal((run.code, run.out), (0, f"2 {10 + 7}\n"))


@check
def verify(w):
    for number in range(70):
        w.put(f"d/f{number}", b"%d" % number * 10)
    for sums, name in ((True, "SHA-256"), ("sha256", "SHA-256"), ("md5", "MD5")):
        w.script(sums=sums)
        equal(w.run().code, 0)
        run = w.run("--verify")
        equal(run.code, 0, run)
        has(run.err, "Checking 70 files", "70 of 70 files", f"70 by {name}")
        target = w.dir / "d/f66"
        good = target.read_bytes()
        target.write_bytes(b"X" + good[1:])
        (w.dir / "d/f3").write_bytes(b"short")
        (w.dir / "d/f4").unlink()
        for jobs in ("1", "4"):
            run = w.run("--verify", "--jobs", jobs)
            equal(run.code, 2, run)
            has(run.err, "67 of 70 files", "Error! 3 of 70", "d/f3: 5 bytes, not 10", "d/f4: missing")
            has(run.err, "d/f66: its " + ("md5" if sums == "md5" else "sha256") + " sum is not that of the package")
        target.write_bytes(good)
    w.script(sums=False)
    target.write_bytes(b"X" + good[1:])
    equal(w.run().code, 0)
    run = w.run("--verify")
    equal(run.code, 0)
    has(run.err, "70 by size alone")


@check
def tree(w):
    for path in ("b/it's", "b/c/d", "a", "b/c/e/f", "z/10", "z/1e1", "b.x", "$(touch sentinel)"):
        w.put(path)
    w.script()
    run = w.run("--print-tree", path=False, env={"LC_ALL": "C.UTF-8"})
    equal(run.code, 0, run)
    equal(
        run.out.splitlines(),
        ["<DOWNLOAD_PATH>/", "├── $(touch sentinel)", "├── a", "├── b.x", "├── b/", "│   ├── c/", "│   │   ├── d",
         "│   │   └── e/", "│   │       └── f", "│   └── it's", "└── z/", "    ├── 10", "    └── 1e1"],
    )
    run = w.run("--print-tree", "--only", "b/*", path=False, env={"LC_ALL": "C"})
    equal(run.out.splitlines()[:3], ["<DOWNLOAD_PATH>/", "`-- b/", "    |-- c/"])


def fake_orad(w, fail=False):
    """A program that says what it was given, and turns its input upside down."""
    folder = w.base / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / "orad"
    program.write_text(
        f"""#!{sys.executable}
import sys
args = sys.argv[1:]
assert args[:2] == ["--quiet", "--ora-reference"] and args[3:6] == ["--force", "--gz", "--out"] and args[7:] == ["-"], args
assert args[6].endswith(".gz"), args
data = sys.stdin.buffer.read()
if {fail}:
    sys.exit("orad: no licence")
open(args[6], "wb").write(b"gz:" + data[::-1])
"""
    )
    program.chmod(0o755)
    w.env["PATH"] = f"{folder}:{os.environ['PATH']}"


@check
def ora(w):
    fake_orad(w)
    w.env["ORADATA_PATH"] = str(w.base)
    data = os.urandom(200_000)
    w.put("fastq/it's.fastq.ora", data)
    w.put("fastq/cut.fastq.ora", data, "cut", 1)
    w.put("fastq/plain.fastq.gz", b"p")
    w.script()
    run = w.run("--dryrun", "--decompress-ora")
    has(run.out, "| orad --quiet --ora-reference '", "--force --gz --out '", "it'\\''s.fastq.gz' -")
    for jobs in ("1", "2"):
        run = w.run("--decompress-ora", "--jobs", jobs)
        equal(run.code, 0, run)
        for name in ("it's", "cut"):
            equal((w.dir / f"fastq/{name}.fastq.gz").read_bytes(), b"gz:" + data[::-1])
        w.same("fastq/plain.fastq.gz")
        equal(
            w.files(),
            sorted(["fastq/it's.fastq.gz", "fastq/cut.fastq.gz", "fastq/plain.fastq.gz", "fastq/.it's.fastq.gz.ora",
                    "fastq/.cut.fastq.gz.ora"]),
        )
        for thing in w.things.values():
            thing.ranges.clear()
        run = w.run("--decompress-ora", "--jobs", jobs)
        equal(run.code, 0, run)
        equal(run.err.count("File already exists"), 3)
        equal([thing.ranges for thing in w.things.values()], [[], [], []])
        equal(w.run("--decompress-ora", "--verify").code, 0)
        (w.dir / "fastq/it's.fastq.gz").write_bytes(b"mine")
        equal(w.run("--decompress-ora", "--verify").code, 2)
        run = w.run("--decompress-ora")
        equal(run.code, 2)
        has(run.err, "it is not overwritten")
        equal((w.dir / "fastq/it's.fastq.gz").read_bytes(), b"mine")
        shutil.rmtree(w.dir / "fastq")
    # not decompressed: as it is
    equal(w.run().code, 0)
    w.same()
    shutil.rmtree(w.dir / "fastq")
    # failures
    fake_orad(w, fail=True)
    w.put("gone.ora", b"x", "denied")
    w.put("grown.ora", b"xx", size=1)
    w.script(sums=False)
    run = w.run("--decompress-ora")
    equal(run.code, 2, run)
    has(run.err, "orad ended with 1: orad: no licence", "gone.ora: HTTP 403", "grown.ora: the server has 2 bytes, not 1")
    equal(w.files(), ["fastq/plain.fastq.gz"])
    fake_orad(w)
    thing = w.put("fastq/cut.fastq.ora", data, "cut", 9)
    run = w.run("--decompress-ora", "--only", "*cut*")
    equal(run.code, 2, run)
    has(run.err, "cut off")
    equal(len(thing.ranges), 3)
    thing.mode = "busy"
    thing.times = 4
    equal(w.run("--decompress-ora", "--only", "*cut*").code, 0)


@check
def links_are_not_in_the_list_of_processes(w):
    w.put("slow", b"x" * 30_000, "slow")
    w.put("s.ora", b"x" * 30_000, "slow")
    fake_orad(w)
    w.env["ORADATA_PATH"] = str(w.base)
    w.script()
    for jobs in ("1", "2"):
        process = subprocess.Popen(
            w.argv("--download-path", str(w.dir), "--decompress-ora", "--jobs", jobs), env=w.env, cwd=w.base,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        curls = 0
        while process.poll() is None:
            for entry in pathlib.Path("/proc").iterdir():
                try:
                    line = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if line.startswith(b"curl\0"):
                    curls += b"--config\0-" in line
                assert SECRET.encode() not in line, line
            time.sleep(0.05)
        assert curls > 5, "no curl was seen"
        assert SECRET not in process.stdout.read().decode()
        equal(process.returncode, 0)
        shutil.rmtree(w.dir)
        w.dir.mkdir()


@check
def cut_scripts_are_noticed(w):
    for number in range(5):
        w.put(f"f{number}")
    text = w.ask()
    script = w.base / "cut.sh"
    lines = text.splitlines(keepends=True)
    for cut in (b"".join(lines[:-1]), b"".join(lines[:-3]), b"".join(lines[:-3])[:-40], b"".join(lines[:-4] + lines[-1:])):
        script.write_bytes(cut)
        run = w.run(script=script)
        equal(run.code, 1, run)
        assert "incomplete" in run.err or "damaged" in run.err, run
        assert "Download complete" not in run.err


@check
def not_bash(w):
    if not shutil.which("dash"):
        print("NO DASH: not looked at")
        return
    w.put("a")
    w.script()
    process = subprocess.run(["dash", w.base / "download-data.it's.sh"], capture_output=True, check=False)
    equal((process.returncode, process.stderr), (1, b"Error! Please run this script with bash\n"))


@check
def tools_of_bsd(w):
    """As on macOS: `stat -f`, `md5 -q`, `shasum`, and no coreutils but the basic ones."""
    folder = w.base / "bsd"
    folder.mkdir()
    for tool in "curl mkdir mv rm mktemp mkfifo sort awk sleep date cat wc bash".split():
        (folder / tool).symlink_to(shutil.which(tool))
    def tool(name, text):
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    tool("stat", f'[ "$1" = -f ] && [ "$2" = %z ] || exit 1\necho "$*" >>"{w.base}/stat.log"\nshift 2\n[ "$1" != -- ] || shift\nexec {shutil.which("stat")} -c %s -- "$@"')
    tool("md5", f'[ "$1" = "-q" ] || exit 1\nshift\n{shutil.which("md5sum")} "$@" | cut -d" " -f1')
    (folder / "cut").symlink_to(shutil.which("cut"))
    tool("shasum", f'[ "$1 $2" = "-a 256" ] || exit 1\nshift 2\nexec {shutil.which("sha256sum")} "$@"')
    for number in range(9):
        w.put(f"-d/f{number}", b"%d" % number * 10)
    (w.dir / "-d").mkdir()
    for sums, removed in ((True, ()), ("md5", ()), (True, ("md5", "shasum")), (True, ("stat",))):
        if "shasum" in removed and not shutil.which("openssl"):
            print("NO OPENSSL: not looked at")
            continue
        for name in removed:
            (folder / name).unlink()
        if "shasum" in removed:
            (folder / "openssl").symlink_to(shutil.which("openssl"))
        env = {"PATH": str(folder)}
        w.script(sums=sums)
        (w.dir / f"-d/f7.{TAG}.part").write_bytes(b"777")
        equal(w.run(env=env).code, 0)
        w.same()
        equal(w.run(env=env).err.count("File already exists"), 9)
        run = w.run("--verify", "--jobs", "2", env=env)
        equal(run.code, 0, run)
        has(run.err, "9 by MD5" if sums == "md5" else "9 by SHA-256")
        (w.dir / "-d/f8").write_bytes(b"X" * 10)
        equal(w.run("--verify", env=env).code, 2)
        shutil.rmtree(w.dir / "-d")
        (w.dir / "-d").mkdir()
        assert "stat" in removed or "-d/f8" in (w.base / "stat.log").read_text(), "stat -f was not used"
        (w.base / "stat.log").unlink(missing_ok=True)


@check
def where_case_does_not_count(w):
    """As on macOS: said to be so, since the file system here tells `A` from `a`."""
    w.put("d/A", b"AAAA")
    w.put("d/a", b"aa")
    w.put("D/b", b"bb")
    w.put("short", b"12345")
    script = w.script()
    text = script.read_text()
    assert text.count(" folded\n") == 1
    equal(w.run().code, 0)
    w.same()
    shutil.rmtree(w.dir)
    w.dir.mkdir()
    script.write_text(text.replace("folds='' ", "folds=yes "))
    (w.dir / "short").write_bytes(b"12")
    run = w.run()
    equal(run.code, 2, run)
    has(run.err, "d/a: the download path cannot tell its name", "short: a shorter file is there (2 bytes, not 5)")
    equal((w.dir / "short").read_bytes(), b"12")
    w.same("d/A", "D/b")


@check
def on_a_terminal(w):
    import pty
    w.put("big", os.urandom(9_000_000))
    w.put("small")
    w.put("denied", b"x" * 9_000_000, "denied")
    w.put("x.ora", b"123")
    fake_orad(w)
    w.script()
    for jobs in ("1", "2"):
        os.environ.update(w.env | {"ORADATA_PATH": str(w.base)})
        shown = []
        pid, fd = pty.fork()
        if pid == 0:
            os.execv(w.shell[0], w.argv("--download-path", str(w.dir), "--decompress-ora", "--jobs", jobs))
        try:
            while piece := os.read(fd, 65536):
                shown.append(piece)
        except OSError:
            pass
        shown = b"".join(shown).decode()
        equal(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 2, shown)
        os.close(fd)
        has(shown, "  denied: HTTP 403", "/ 4")
        assert ("100.0%" in shown) == (jobs == "1"), shown
        assert SECRET not in shown
        w.same("big", "small")
        shutil.rmtree(w.dir)
        w.dir.mkdir()


@check
def the_settings_of_curl_hold_for_all_files(w):
    (w.base / ".curlrc").write_text(f'proxy = "http://127.0.0.1:{w.server.server_port}"\n')
    for number in range(3):
        w.put(f"f{number}")
    script = w.script()
    # a host that only the proxy would know: it asks for a whole URL
    script.write_text(script.read_text().replace(f"http://127.0.0.1:{w.server.server_port}/", "http://x.invalid/"))
    equal(w.run().code, 0)
    w.same()


@check
def killed_jobs_are_noticed(w):
    for path in ("slow1", "slow2", "slow3"):
        w.put(path, b"x" * 40_000, "slow")
    w.script()
    text = (w.base / "download-data.it's.sh").read_text().replace("read -r -t 30 -u 9", "read -r -t 1 -u 9")
    (w.base / "download-data.it's.sh").write_text(text)
    process = subprocess.Popen(
        w.argv("--download-path", str(w.dir), "--jobs", "2"), env=w.env, cwd=w.base, stderr=subprocess.PIPE,
    )
    def jobs():
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == process.pid:
                    found.append(int(entry.name))
            except (OSError, IndexError):
                continue
        return found
    parts = [w.dir / f"slow{number}.{TAG}.part" for number in (1, 2)]
    wait_for(lambda: all(part.exists() and part.stat().st_size > 2000 for part in parts))
    for pid in jobs():
        os.killpg(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=20)
    equal(process.returncode, 2, err)
    has(err.decode(), "a job was killed", "Error! 1 of 3")
    # the third got one of their places
    w.same("slow3")


@check
def papers(w):
    """Lists of sums are read by md5sum and sha256sum; the crate is JSON."""
    names = [name for name in HOSTILE if name == name.translate(STAND_INS)]
    for name in names:
        w.put(name, name.encode())
    w.script()
    equal(w.run().code, 0)
    for what in ("md5sum", "sha256sum"):
        process = subprocess.run([what, "--strict", "-c", "-"], input=w.ask(what), cwd=w.dir, capture_output=True, check=False)
        equal(process.returncode, 0, process.stdout.decode() + process.stderr.decode())
        equal(process.stdout.count(b"OK\n"), len(names))
    crate = json.loads(w.ask("ro-crate"))
    equal([urllib.parse.unquote(thing["@id"]) for thing in crate["@graph"][2:]], names)


# --- ShellCheck, figures --------------------------------------------------------------------------------------------


def shellcheck(world, program):
    for name in ["a/plain.bam", *HOSTILE]:
        world.put(name)
    script = world.script()
    for path in (script, BODY):
        process = subprocess.run([program, path], capture_output=True, check=False)
        equal(process.returncode, 0, process.stdout.decode())


def figures(world):
    count = 1000
    for number in range(count):
        world.put(f"d{number % 10}/f{number}", os.urandom(100_000))
    script = world.script()
    urls = [line for line in world.ask().decode().splitlines() if line.startswith("f 100000")]
    loop = world.base / "loop.sh"
    lines = [f"one {line.split(' ', 3)[3].rsplit(' ', 2)[0]} {number}" for number, line in enumerate(urls)]
    loop.write_text('one() { curl --silent --fail -o "$2" "$1"; }\n' + "\n".join(lines) + "\n")
    runs = {"loop of curl": [], "--jobs 1": [], "--jobs 4": []}
    for _ in range(5):
        for name, times in runs.items():
            folder = world.base / "figures"
            folder.mkdir()
            if name.startswith("loop"):
                argv, cwd = [*world.shell, str(loop)], folder
            else:
                argv = world.argv("--download-path", str(folder), *name.split())
                cwd = world.base
            begin = time.monotonic()
            subprocess.run(argv, cwd=cwd, env=world.env, check=True, capture_output=True)
            times.append(time.monotonic() - begin)
            equal(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()), count * 100_000)
            shutil.rmtree(folder)
    base = sorted(runs["loop of curl"])[2]
    for name, times in runs.items():
        median = sorted(times)[2]
        print(f"  {name:14} median {median:6.2f} s, {median / base:.2f} x   ({', '.join(f'{t:.2f}' for t in times)})")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--maker", type=int, required=True)
    parser.add_argument("--posix", action="store_true")
    parser.add_argument("--bash32")
    parser.add_argument("--shellcheck", default=shutil.which("shellcheck"))
    parser.add_argument("--figures", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    bash = shutil.which("bash")
    shells = [[program, *(["--posix"] if args.posix else [])] for program in (bash, args.bash32) if program]
    server = Server(("127.0.0.1", 0), Handler)
    server.things, server.lock = {}, threading.Lock()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    passed = failed = 0

    def one(name, function, shell):
        nonlocal passed, failed
        world = World(server, args.maker, shell)
        begin = time.monotonic()
        try:
            function(world)
        except Exception as error:  # noqa: BLE001
            failed += 1
            print(f"FAILED {name} under {' '.join(shell)}: {type(error).__name__}: {error}")
        else:
            passed += 1
            print(f"ok     {name} under {' '.join(shell)} ({time.monotonic() - begin:.1f} s)")
        world.close()
        sys.stdout.flush()

    for shell in shells:
        for function in CHECKS:
            if not args.names or any(name in function.__name__ for name in args.names):
                one(function.__name__, function, shell)
    if args.shellcheck and not args.posix and (not args.names or "shellcheck" in args.names):
        one("shellcheck", lambda world: shellcheck(world, args.shellcheck), [bash])
    if args.figures:
        for shell in shells:
            one("figures", figures, shell)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
