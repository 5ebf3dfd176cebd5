"""Debian's chromium without a window, driven over its DevTools protocol (a pipe: a NUL after each JSON message)."""

import base64
import json
import os
import select
import subprocess
import tempfile
import time

PATIENCE = 60  # seconds after which a test says that it hangs


class Browser:
    """One browser process; `page()` opens a page in it."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self.commands = os.pipe()
        self.events, from_browser = os.pipe()
        # Chromium reads from 3 and writes to 4.
        shell = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
        self.process = subprocess.Popen(
            ["sh", "-c", shell, "sh", "chromium-headless-shell", "--remote-debugging-pipe", "--no-sandbox",
             "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
             "--force-color-profile=srgb", f"--user-data-dir={self.folder.name}/profile", "about:blank"],
            pass_fds=[to_browser, from_browser], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.buffer = b""
        self.number = 0
        self.pages = {}

    def close(self):
        os.close(self.commands)  # at which it ends
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.events)
        self.folder.cleanup()

    def receive(self, deadline):
        """The next message. Events of a page are given to it."""
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.events], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError("chromium says nothing")
            read = os.read(self.events, 1 << 20)
            if not read:
                raise EOFError("chromium has ended")
            self.buffer += read
        text, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(text)
        page = self.pages.get(message.get("sessionId"))
        if page and "method" in message:
            page.take(message["method"], message["params"])
        return message

    def call(self, method, params=None, session=None, patience=PATIENCE):
        self.number += 1
        number = self.number
        command = {"id": number, "method": method, "params": params or {}}
        if session:
            command["sessionId"] = session
        data = json.dumps(command).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data):]
        deadline = time.monotonic() + patience
        while True:
            message = self.receive(deadline)
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]

    def page(self, width=1200, height=900, scripts=True):
        return Page(self, width, height, scripts)


class Page:
    """A page of its own; `problems` are what it complained of on its console."""

    def __init__(self, browser, width, height, scripts):
        self.browser = browser
        self.problems = []
        self.loaded = False
        self.target = browser.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        self.session = browser.call("Target.attachToTarget", {"targetId": self.target, "flatten": True})["sessionId"]
        browser.pages[self.session] = self
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        if not scripts:
            self.call("Emulation.setScriptExecutionDisabled", {"value": True})
        self.resize(width, height)

    def close(self):
        self.browser.call("Target.closeTarget", {"targetId": self.target})
        del self.browser.pages[self.session]

    def call(self, method, params=None, patience=PATIENCE):
        return self.browser.call(method, params, self.session, patience)

    def take(self, method, params):
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append(params)
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"])

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride",
                  {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})

    def open(self, url):
        """Returns when the page has loaded; its script may draw on."""
        self.loaded = False
        failed = self.call("Page.navigate", {"url": url}).get("errorText")
        if failed:
            raise RuntimeError(f"{url}: {failed}")
        deadline = time.monotonic() + PATIENCE
        while not self.loaded:
            self.browser.receive(deadline)

    def value(self, expression):
        """Of a script's expression, a promise awaited."""
        answer = self.call("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:2000])
        return answer["result"].get("value")

    def wait(self, condition, patience=PATIENCE):
        """Until a script's expression is true, looked at on every frame."""
        frames = f"""new Promise((done, failed) => {{
          const end = performance.now() + {patience * 1000};
          const look = () => ({condition}) ? done(true)
              : performance.now() > end ? failed(new Error('never: ' + {json.dumps(condition)}))
              : setTimeout(look, 20);
          look();
        }})"""
        return self.value(frames)

    def point_at(self, x, y):
        self.call("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})

    def scheme(self, scheme):
        self.call("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})

    def screenshot(self, path, whole=True):
        data = self.call("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})["data"]
        path.write_bytes(base64.b64decode(data))

    def pdf(self, path):
        data = self.call("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})["data"]
        path.write_bytes(base64.b64decode(data))
