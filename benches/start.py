#!/usr/bin/env python3
"""How long a binary takes from its start to its first call of SQS, and what it holds when it is idle.

    benches/start.py [BINARY] [--runs 10] [--idle 30]

AWS and ICAv2 are a server of this script, on this machine, that has nothing: no messages, no records. What is measured
is the daemon alone, from before `fork` to the arrival of the first `ReceiveMessage`, and its VmRSS some seconds later.
The embedded backend is measured besides, to the first answer of `/livez`: it has no SQS.
"""

import argparse
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Nothing(BaseHTTPRequestHandler):
    """AWS and ICAv2 with nothing in them."""

    protocol_version = "HTTP/1.1"
    received = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        operation = self.headers.get("x-amz-target", "").rpartition(".")[2]
        answer = {}
        if operation == "ReceiveMessage":
            Nothing.received.append(time.perf_counter())
            time.sleep(min(json.loads(body).get("WaitTimeSeconds", 0), 20))
        elif operation == "GetQueueAttributes":
            answer = {"Attributes": {}}
        elif operation in ("Query", "Scan"):
            answer = {"Items": [], "Count": 0, "ScannedCount": 0}
        elif operation == "BatchGetItem":
            answer = {"Responses": {}, "UnprocessedKeys": {}}
        self.answer(answer)

    def do_GET(self):
        self.answer({"items": [], "totalItemCount": 0})

    def answer(self, content):
        content = json.dumps(content).encode()
        try:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            pass  # The daemon has been stopped.

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    """One for whom it is no news that a daemon has been stopped in the midst of a call."""

    daemon_threads = True

    def handle_error(self, request, address):
        pass


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def environment(folder, port, there=None):
    known = {
        "PATH": os.environ["PATH"],
        "HOME": folder,
        "ICAV2_ACCESS_TOKEN": "none",
        "ICAV2_BASE_URL": (there or "http://127.0.0.1:9") + "/ica/rest",
        "COPY_MANAGER__ADMIN__LISTEN": f"127.0.0.1:{port}",
        "COPY_MANAGER__LOG__FORMAT": "json",
    }
    if there:
        known |= {
            "AWS_ENDPOINT_URL": there,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "COPY_MANAGER__BACKEND": "aws",
            "COPY_MANAGER__AWS__COPY_REQUESTS_QUEUE_URL": there + "/000000000000/requests",
            "COPY_MANAGER__AWS__TABLE_NAME": "table",
            "COPY_MANAGER__AWS__INTERNAL_BUS_NAME": "bus",
        }
    return known


class Daemon:
    """One that runs in a folder of its own, and is stopped at the end."""

    def __init__(self, binary, there=None):
        self.folder = tempfile.TemporaryDirectory()
        self.port = free_port()
        self.log = open(os.path.join(self.folder.name, "log"), "w+")
        self.at = time.perf_counter()
        self.process = subprocess.Popen(
            [binary, "serve"],
            cwd=self.folder.name,
            env=environment(self.folder.name, self.port, there),
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.folder.cleanup()

    def until(self, there):
        """Waits until that is so; when it was noticed."""
        while not (at := there()):
            if self.process.poll() is not None or time.perf_counter() - self.at > 60:
                self.log.seek(0)
                raise SystemExit(f"it did not come up:\n{self.log.read()}")
            time.sleep(0.001)
        return at - self.at

    def is_alive(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/livez", timeout=5):
                return time.perf_counter()
        except (urllib.error.URLError, OSError):
            return None

    def resident(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))

    def processor(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spread(values, unit, digits=0):
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} {unit} ({least:.{digits}f}–{most:.{digits}f}, {len(values)} runs)"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", nargs="?", default="target/release/copy-manager")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--idle", type=float, default=30)
    asked = parser.parse_args()
    binary = os.path.abspath(asked.binary)

    server = Server(("127.0.0.1", 0), Nothing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    there = f"http://127.0.0.1:{server.server_address[1]}"

    print(f"binary: {os.path.getsize(binary) / 1e6:.1f} MB, load average {os.getloadavg()[0]:.1f}")
    firsts, lives = [], []
    for _ in range(asked.runs):
        Nothing.received = []
        with Daemon(binary, there) as daemon:
            firsts.append(daemon.until(lambda: next(iter(Nothing.received), None)) * 1000)
        with Daemon(binary) as daemon:
            lives.append(daemon.until(daemon.is_alive) * 1000)
    print("AWS: to the first ReceiveMessage", spread(firsts, "ms"))
    print("embedded: to the first answer of /livez", spread(lives, "ms"))

    Nothing.received = []
    with Daemon(binary, there) as on_aws, Daemon(binary) as embedded:
        time.sleep(asked.idle)
        for name, daemon in (("AWS", on_aws), ("embedded", embedded)):
            seconds = f"{daemon.processor():.2f} s of processor"
            print(f"{name}: {daemon.resident():.1f} MiB resident after {asked.idle:.0f} s, {seconds}")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
