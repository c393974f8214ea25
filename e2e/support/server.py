"""The real server on a free port, over a folder of its own."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

STOP_SECONDS_MAX = 60


class Server:
    """`with Server(binary) as server:` starts it, and ends and removes everything afterwards."""

    def __init__(self, binary):
        self._binary = binary
        self._folder = Path(tempfile.mkdtemp(prefix="lethe-e2e-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"http://127.0.0.1:{free.getsockname()[1]}"

    def __enter__(self):
        log = open(self._folder / "server.log", "w+")
        command = [self._binary, "serve", "--listen", self.address.removeprefix("http://")]
        self._process = subprocess.Popen(
            command, env=self._own_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.PIPE, text=True
        )
        for line in self._process.stderr:
            log.write(line)
            if "listens on" in line:
                break
        else:
            log.seek(0)
            raise RuntimeError(f"the server did not start: {log.read()}")
        # Nobody may fill the pipe.
        threading.Thread(target=log.writelines, args=[self._process.stderr], daemon=True).start()
        self.client = self._lethe("client", "add", "e2e")
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
        shutil.rmtree(self._folder)

    def environment(self):
        """For a script that makes its own users."""
        return self._own_environment() | {
            "LETHE_BINARY": str(self._binary),
            "LETHE_CLIENT": self.client["client_id"],
            "LETHE_BASE": f"{self.address}/r4",
        }

    def environment_of_user(self, name):
        """For a script that acts for one new user."""
        user = self._lethe("user", "add", "--client", self.client["client_id"], name)
        token = self._lethe("user", "token", str(user["oneup_user_id"]))
        return self.environment() | {"LETHE_TOKEN": token["access_token"], "LETHE_USER": str(user["oneup_user_id"])}

    def _own_environment(self):
        """Without what whoever runs this has set for a server of his own."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LETHE_")}
        return inherited | {"LETHE_DATA": str(self._folder / "data"), "LETHE_PUBLIC_URL": self.address}

    def _lethe(self, *words):
        """Runs a command on the server's folder, and reads what it prints."""
        command = [self._binary, *words, "--json"]
        done = subprocess.run(command, env=self._own_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"lethe {' '.join(words)}: {done.stderr}")
        return json.loads(done.stdout)
