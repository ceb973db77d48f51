"""The teaching page in a real browser: headless Chromium through its WebDriver, with nothing but the standard
library."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from ufm.demo import export

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no browser: needs chromium and chromedriver (Debian: chromium chromium-driver)"
)

PATIENCE = 60
"""Seconds until a page that does not react is given up."""


class Browser:
    """One headless session: `go`, `js`, `click`, `wait`, and what the page said and asked for."""

    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"
        options = {
            "binary": CHROMIUM,
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"],
        }
        logs = {"browser": "ALL", "performance": "ALL"}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": logs}
        reply = self.send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"/session/{reply['sessionId']}"

    def send(self, method, path, data=None, patience=PATIENCE):
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.base + path, body, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=patience) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise AssertionError(json.load(refusal)["value"]["message"][:400]) from None

    def go(self, url):
        self.send("POST", f"{self.session}/url", {"url": "about:blank"})
        self.logs("browser"), self.logs("performance")
        self.send("POST", f"{self.session}/url", {"url": url})
        self.wait("return Boolean(window.UFM_PAGE && UFM_PAGE.now)")

    def js(self, code, *values):
        return self.send("POST", f"{self.session}/execute/sync", {"script": code, "args": list(values)})

    def later(self, code, *values, seconds=600):
        """The value a script hands to `done` when it is ready."""
        self.send("POST", f"{self.session}/timeouts", {"script": 1000 * seconds})
        head = "const done = arguments[arguments.length - 1];"
        return self.send(
            "POST", f"{self.session}/execute/async", {"script": head + code, "args": list(values)}, seconds
        )

    def resize(self, width, height):
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.send(
            "POST", f"{self.session}/goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": metrics}
        )

    def click(self, selector):
        found = self.send("POST", f"{self.session}/element", {"using": "css selector", "value": selector})
        self.send("POST", f"{self.session}/element/{next(iter(found.values()))}/click", {})

    def press(self, selector, keys):
        found = self.send("POST", f"{self.session}/element", {"using": "css selector", "value": selector})
        self.send("POST", f"{self.session}/element/{next(iter(found.values()))}/value", {"text": keys})

    def wait(self, code):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.js(code):
                return
            time.sleep(0.05)
        raise AssertionError(f"never came true: {code}")

    def logs(self, kind):
        return self.send("POST", f"{self.session}/se/log", {"type": kind})

    def complaints(self):
        return [entry["message"] for entry in self.logs("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def asked_for(self):
        events = (json.loads(entry["message"])["message"] for entry in self.logs("performance"))
        return {
            e["params"]["request"]["url"].split("#")[0] for e in events if e["method"] == "Network.requestWillBeSent"
        }

    def text(self, selector):
        return self.js("return document.querySelector(arguments[0]).textContent", selector)

    def slide(self, name, value):
        """As a hand on the slider does: value, then the input event; back when the page has drawn."""
        code = (
            "const s = document.getElementById(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new"
            " Event('input', { bubbles: true }));"
        )
        self.js(code, name, value)
        self.later("requestAnimationFrame(() => setTimeout(done, 0));")
        self.wait(
            "return document.getElementById('K').value == UFM_PAGE.now.P.K && UFM_PAGE.now.P.lam === UFM_PAGE.state.lam"
        )

    def close(self):
        self.send("DELETE", self.session)


@pytest.fixture(scope="module")
def browser():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = subprocess.Popen(
        [DRIVER, f"--port={port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "no_proxy": "127.0.0.1"},
    )
    try:
        page = _opened(port)
        yield page
        page.close()
    finally:
        driver.terminate()
        driver.wait()


def _opened(port):
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return Browser(port)
        except (OSError, AssertionError) as reason:
            if time.monotonic() > until:
                pytest.skip(f"no browser: chromium does not start here ({str(reason)[:200]})")
            time.sleep(0.2)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    export(path)
    return path.as_uri()


def test_the_exported_file_opens_from_disk_alone(browser, file):
    browser.go(file)
    browser.wait("return document.querySelectorAll('#map-legend .tag').length > 2")
    assert "wins" in browser.text("#verdict")
    assert browser.js("return document.querySelectorAll('svg[role=img][aria-label]').length") >= 7
    assert browser.js("return document.getElementById('solver').hidden")
    assert file in (asked := browser.asked_for()) and asked <= {file, "data:,"}
    assert browser.complaints() == []


def test_the_served_page_asks_the_solver_and_nobody_else(browser, served):
    browser.go(f"{served}#K=4&L=2&lam=0.0133&d=4")
    browser.click("#better")
    browser.wait("return document.querySelectorAll('#better-table tbody tr').length > 3")
    assert re.search(r"Found better|Nothing better", browser.text("#better-text"))
    asked = browser.asked_for()
    assert f"{served}api/compare" in asked and asked <= {served, f"{served}api/compare", "data:,"}
    assert browser.complaints() == []


def test_a_slider_moved_gives_up_what_was_asked(browser, served):
    browser.go(f"{served}#K=20&L=10&lam=0.0001&d=40&n=50")
    browser.click("#better")
    browser.wait(
        "return document.getElementById('better-text').textContent.includes('searches') &&"
        " document.getElementById('better').disabled"
    )
    browser.slide("K", 4)
    browser.wait("return !document.getElementById('better').disabled")
    assert browser.text("#better-text") == ""
    browser.slide("L", 2)
    browser.click("#better")
    browser.wait("return document.querySelectorAll('#better-table tbody tr').length > 3")
    assert "Found better" in browser.text("#better-text") or "Nothing better" in browser.text("#better-text")
    assert browser.complaints() == []


def test_an_outside_request_would_be_seen_and_is_blocked(browser, file):
    browser.go(file)
    browser.js("fetch('http://192.0.2.1/').catch(() => 0); const i = new Image(); i.src = 'http://192.0.2.1/x.png';")
    heard = []
    until = time.monotonic() + PATIENCE
    while not heard and time.monotonic() < until:
        heard = [words for words in browser.complaints() if "Content Security Policy" in words]
    assert heard


def test_an_overlap_would_be_seen(browser, file):
    browser.go(file)
    assert browser.js(OVERLAPS) == []
    browser.js(
        "document.getElementById('card-heat').style.marginTop = '-300px'; document.querySelector('.bar"
        " span').style.width = '1px';"
    )
    assert any("card-heat" in words for words in browser.js(OVERLAPS)) and any(
        words.startswith("bar") for words in browser.js(OVERLAPS)
    )


@pytest.mark.parametrize(("n", "crossing"), [(1, 0.0117605), (8, 0.0117605 / 2)])
def test_sliders_change_the_verdict_at_the_known_crossing(browser, file, n, crossing):
    browser.go(f"{file}#K=6&L=3&lam=0.5&d=20")
    for name, value in (("K", 4), ("L", 2), ("n", n)):
        browser.slide(name, value)
    for factor, winner in ((0.98, "dnc"), (1.02, "pairs")):
        browser.js(
            "const s = document.getElementById('lam'); s.value = arguments[0]; s.dispatchEvent(new Event('change'));",
            crossing * factor,
        )
        browser.wait(f"return Math.abs(UFM_PAGE.now.P.lam - {crossing * factor}) < 1e-12")
        assert browser.text("#verdict").strip().startswith(f"{winner} wins")
        assert winner in browser.text(".bar.best") and f"lam={crossing * factor:.6g}"[:9] in browser.js(
            "return location.hash"
        )
    browser.wait("return document.getElementById('crossings').textContent.includes('up to')")
    assert abs(float(re.search(r"dnc up to λ = ([0-9.]+)", browser.text("#crossings"))[1]) / crossing - 1) < 1e-4


def test_descent_ends_with_a_name_and_the_picture_has_its_colour(browser, file):
    for d, seed, name, colour in ((6, 1, "pairs", "#D55E00"), (40, 1, "dnc", "#0072B2")):
        browser.go(f"{file}#K=6&L=2&lam=0.001&d={d}")
        browser.js("document.getElementById('seed').value = arguments[0]", seed)
        browser.click("#run")
        browser.wait("return document.getElementById('descent-text').textContent.includes('ended in')")
        assert f"Start {seed} ended in {name} " in browser.text("#descent-text")
        assert colour in browser.js("return document.getElementById('descent-loss').innerHTML")
        assert f"{name} 1" in browser.text("#tally")
        assert browser.complaints() == []


def test_moving_a_slider_ends_a_run(browser, file):
    browser.go(f"{file}#K=6&L=2&lam=0.001&d=20")
    browser.click("#ten")
    browser.slide("K", 5)
    assert browser.text("#run") == "Run gradient descent" and "All factors start" in browser.text("#descent-text")


def test_the_tour_goes_forward_and_back_and_can_be_linked(browser, file):
    browser.go(file)
    assert browser.js("return document.getElementById('tour').hidden")
    browser.click("#tour-toggle")
    titles = []
    for step in range(1, 9):
        browser.wait(f"return document.getElementById('tour-count').textContent === 'Step {step} of 8'")
        titles.append(browser.text("#tour-title"))
        assert browser.js("return TOUR[UFM_PAGE.state.step - 1].shows.winner === UFM_PAGE.now.winner.name")
        assert browser.js(
            "return !document.getElementById('tour-reveal').open && document.querySelectorAll('.card.lit').length > 0"
        )
        browser.click("#tour-reveal summary")
        assert len(browser.text("#tour-answer")) > 40
        link = browser.js("return location.hash")
        assert f"step={step}" in link and "lam=" in link and "K=" in link
        browser.click("#tour-next")
    assert len(set(titles)) == 8
    browser.wait("return document.getElementById('tour').hidden")
    browser.go(f"{file}#step=5&K=4&n=8&L=2&lam=0.005&d=20&loss=ce")
    assert browser.text("#tour-title") == titles[4] and browser.js("return UFM_PAGE.now.P.n") == 8
    browser.click("#tour-back")
    browser.wait("return document.getElementById('tour-count').textContent === 'Step 4 of 8'")
    browser.press("#tour", "\ue00f")  # PageDown, as a clicker sends it
    browser.wait("return document.getElementById('tour-count').textContent === 'Step 5 of 8'")
    assert browser.complaints() == []


def test_the_keyboard_is_enough(browser, file):
    browser.go(f"{file}#K=6&L=2&lam=0.005&d=20")
    browser.press("#K", "\ue014")
    browser.wait("return UFM_PAGE.now.P.K === 7")
    browser.press("#map", "\ue013\ue012")
    browser.wait("return UFM_PAGE.now.P.K === 8 && UFM_PAGE.now.P.lam < 0.005")
    before = browser.js("return document.getElementById('code').innerHTML")
    browser.press("#code", "\ue014")
    assert browser.js("return document.getElementById('code').innerHTML") != before
    browser.press(".bar[data-name=dnc]", "\ue007")
    browser.wait("return document.getElementById('h-heat').textContent.includes('dnc')")
    assert browser.js("return document.activeElement.dataset.name") == "dnc"
    unnamed = "(x) => !x.hidden && !(x.labels && x.labels.length) && !x.textContent && !x.ariaLabel"
    assert browser.js(f"return [...document.querySelectorAll('button, input')].filter({unnamed}).length") == 0


@pytest.mark.parametrize(
    "hash",
    [
        "#K=nonsense&lam=-3&L=99&loss=x&step=77&d=1e9&shown=%3Cimg%3E",
        "#K=2&L=8&lam=1&d=1",
        "#K=20&L=8&n=50&lam=1e-6&d=40&loss=mse",
        "#K=3&L=1",
    ],
)
def test_every_address_gives_a_page(browser, file, hash):
    browser.go(file + hash)
    browser.wait("return document.querySelectorAll('#map-legend .tag').length > 0")
    assert "wins" in browser.text("#verdict") and "NaN" not in browser.js("return document.body.innerHTML")
    assert browser.complaints() == []


# ---- The number lambda


def put(browser, words, event="change"):
    browser.js(
        "const s = document.getElementById('lam'); s.value = arguments[0]; s.dispatchEvent(new Event(arguments[1], {"
        " bubbles: true })); return 0;",
        words,
        event,
    )
    browser.later("requestAnimationFrame(() => setTimeout(done, 0));")


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    ("words", "lam"),
    [
        ("2**-10", 2**-10),
        ("1e-3", 1e-3),
        ("0.0123456789", 0.0123456789),
        ("1/3000", 1 / 3000),
        ("1.234567891e-6", 1.234567891e-6),
    ],
)
def test_the_box_takes_numbers_as_they_are_written_and_shows_them_whole(browser, file, words, lam):
    browser.go(f"{file}#K=4&L=2&d=20")
    for event in ("input", "change"):
        put(browser, words, event)
        assert browser.js("return UFM_PAGE.now.P.lam") == pytest.approx(lam, rel=1e-15) and "wins" in browser.text(
            "#verdict"
        )
    for width in (1280, 390):
        browser.resize(width, 800)
        assert browser.js("const s = document.getElementById('lam'); return s.scrollWidth <= s.clientWidth")
        assert float(browser.js("return document.getElementById('lam').value")) == pytest.approx(lam, rel=1e-9)
    browser.send(
        "POST", f"{browser.session}/goog/cdp/execute", {"cmd": "Emulation.clearDeviceMetricsOverride", "params": {}}
    )
    browser.go(browser.js("return location.href"))
    assert float(browser.js("return document.getElementById('lam').value")) == pytest.approx(lam, rel=1e-9)


def test_what_is_no_ridge_weight_gets_no_verdict_but_a_sentence(browser, file):
    browser.go(f"{file}#K=4&L=2&lam=0.005&d=20")
    browser.wait("return document.getElementById('crossings').textContent.includes('up to')")
    for words in ("-1", "0", "2", "1e-9", "abc", "", "2**", "<b>1</b>"):
        for event in ("input", "change"):
            put(browser, words, event)
            said = browser.text("#verdict")
            assert "wins" not in said and "from 1 × 10⁻⁶ to 1" in said and words in said, words
            assert browser.text("#crossings") == browser.text("#stability-text") == ""
            assert browser.js(
                "return document.getElementById('lam').ariaInvalid === 'true' &&"
                " !document.getElementById('lam-mistake').hidden && document.getElementById('run').disabled"
            )
    assert browser.js("return UFM_PAGE.state.lam") == 0.005
    browser.slide("K", 5)
    assert (
        "wins" not in browser.text("#verdict")
        and browser.js("return document.getElementById('lam').value") == "<b>1</b>"
    )
    browser.slide("lam-log", -2)
    assert "wins" in browser.text("#verdict") and browser.js("return document.getElementById('lam').value") == "0.01"
    assert browser.js(
        "return document.getElementById('lam-mistake').hidden && !document.getElementById('run').disabled"
    )
    put(browser, "-1")
    put(browser, "2**-9")
    assert "wins" in browser.text("#verdict") and browser.js("return UFM_PAGE.now.P.lam") == 2**-9
    assert browser.complaints() == []


# ---- The tour on one screen

TOGETHER = """
const step = TOUR[UFM_PAGE.state.step - 1], hidden = [];
const wanted = ['#tour', '#tour-text', '.question > p', ...step.lit.map((l) => '#card-' + l),
  ...step.asks.map((a) => `[data-of=${a}]`),
  ...step.asks.map((a) => a === 'lam' ? '#lam-log' : '#' + a)];
for (const name of wanted) {
  const b = document.querySelector(name).getBoundingClientRect(),
    centre = document.elementFromPoint((b.left + b.right) / 2, (b.top + b.bottom) / 2);
  const answered = name.startsWith('#tour-text') && document.getElementById('tour-reveal').open;
  if (!answered
    && (b.width < 20 || b.height < 10 || b.left < 0 || b.top < 0 || b.right > innerWidth || b.bottom > innerHeight))
    hidden.push(name);
  if (!answered && !(centre && document.querySelector(name).contains(centre))) hidden.push('covered ' + name);
}
const pictures = step.lit.flatMap((l) => [...document.querySelectorAll(`#card-${l} svg,
  #card-${l} .bar`)]).filter((x) => x.getClientRects().length);
for (const x of pictures) if (x.getBoundingClientRect().bottom > innerHeight) hidden.push('picture');
return hidden;
"""


@pytest.mark.quick(1)
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800), (1920, 1080)])
def test_words_picture_and_slider_of_every_step_are_seen_together(browser, file, width, height):
    try:
        browser.resize(width, height)
        browser.go(file)
        browser.js("window.scrollTo(0, 600)")
        browser.click("#tour-toggle")
        for step in range(1, 9):
            browser.wait(f"return document.getElementById('tour-count').textContent === 'Step {step} of 8'")
            browser.wait("return document.querySelectorAll('#map-legend .tag').length > 1")
            if step == 8:
                browser.click("#ten")
                browser.wait("return document.getElementById('ten').disabled === false")
            assert browser.js(TOGETHER) == [], step
            assert browser.js(OVERLAPS) == [], step
            for name in browser.js(
                "return TOUR[UFM_PAGE.state.step - 1].asks.map((a) => (a === 'lam' ? 'lam-log' : a))"
            ):
                for end in ("min", "max"):
                    browser.slide(
                        name, browser.js("return document.getElementById(arguments[0])[arguments[1]]", name, end)
                    )
                    assert browser.js(TOGETHER) == [], (step, name, end)
                browser.click("#tour-reset")
            browser.click("#tour-reveal summary")
            assert browser.js(TOGETHER) == [], f"{step}, answered"
            browser.click("#tour-next")
        browser.wait("return document.getElementById('tour').hidden && document.activeElement.id === 'tour-toggle'")
        assert browser.js("return document.getElementById('card-spectrum').offsetParent !== null")
        assert browser.complaints() == []
    finally:
        browser.send(
            "POST", f"{browser.session}/goog/cdp/execute", {"cmd": "Emulation.clearDeviceMetricsOverride", "params": {}}
        )


# ---- Every slider, dragged

SWEEP = """
const [name, limit] = arguments, slider = document.getElementById(name), low = Number(slider.min),
  high = Number(slider.max), step = Number(slider.step);
const frame = async (value) => {
  const began = performance.now();
  slider.value = value;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
  await new Promise((ready) => requestAnimationFrame(() => setTimeout(ready, 0)));
  return performance.now() - began;
};
(async () => {
  const slow = [], home = slider.value;
  let frames = 0;
  for (let i = 0; low + i * step <= high + 1e-9; i++, frames++) {
    const value = low + i * step;
    let took = await frame(value);
    for (let again = 0; took > limit && again < 8; again++) {
      await frame(low + Math.max(0, i - 1) * step);
      took = Math.min(took, await frame(value));
    }
    if (took > limit) slow.push([value, Math.round(took)]);
    if (/NaN|Infinity/.test(document.querySelector('.layout').innerHTML)) slow.push([value, 'NaN']);
  }
  await frame(home);
  done({ frames, slow });
})();
"""

FRAME, SLACK = 100, 1.5
"""Milliseconds of a frame that a hand on a slider would feel, and the slack of a busy machine. A frame above both is
drawn again up to eight times: what counts is the page's work, not what else the machine did meanwhile."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "hash",
    [
        "K=6&L=2&lam=0.02&d=20",
        "K=2&L=1&lam=0.1&d=3&loss=mse",
        "K=3&L=10&lam=0.01&d=20",
        "K=5&L=3&lam=0.003&n=7&d=5",
        "K=7&L=4&lam=0.01&d=40&loss=mse",
        "K=8&L=2&lam=0.0001&d=4&n=50",
        "K=10&L=3&lam=0.001&d=20",
        "K=11&L=5&lam=0.01&d=12&loss=mse",
        "K=12&L=10&lam=0.05&d=20",
        "K=12&L=1&lam=0.001&d=12",
        "K=20&L=8&lam=0.001&d=40&step=3",
    ],
)
def test_no_slider_freezes_the_page(browser, file, hash):
    for name in ("lam-log", "K", "n", "L", "d"):
        browser.go(f"{file}#{hash}")
        swept = browser.later(SWEEP, name, FRAME * SLACK)
        assert swept["slow"] == [] and swept["frames"] >= 10, name
        assert browser.complaints() == [], name


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["ce", "mse"])
def test_every_picture_is_drawn_at_every_fold(browser, file, loss):
    """At and beside each lam where a structure vanishes, and where dnc costs what zero costs: K = 2..12, L = 1..10."""
    browser.go(file)
    code = """
    const [loss] = arguments, slow = [];
    let drawn = 0;
    for (let K = 2; K <= 12; K++) for (let L = 1; L <= 10; L++) {
      const at = (lam) => UFM.problem({ K, L, lam, loss, n: 1, d: 20 }), dnc = UFM.dnc(at(1e-3)),
        places = new Set(UFM.structures(at(1e-3)).map((s) => s.fold));
      let a = 1e-6, b = dnc.fold;
      for (let i = 0; i < 60; i++) { const m = 0.5 * (a + b), s = UFM.dnc(at(m)); if (s.exists
        && s.fun < UFM.zero(at(m)).fun) a = m; else b = m; }
      places.add(a);
      for (const place of [...places].filter((x) => x > 0 && x < Infinity).slice(0, 8))
        for (const shift of [0, 1e-15, 1e-12, 1e-9, 1e-4, -1e-15, -1e-12, -1e-9, -1e-4]) {
        const P = at(place * (1 + shift)), began = performance.now(), all = UFM.structures(P),
          here = all.filter((s) => s.exists && s.rank).slice(0, 4);
        const described = here.map((s) => ({ name: s.name, family: s.family, s: UFM.spectrum(P, s) }));
        const text = Draw.rays(300, P, here, all[0].fun) + Draw.price(300, P, described) + Draw.spectrum(300, K,
          described);
        drawn++;
        if (performance.now() - began > 1000 || text.length > 200000 || /NaN|Infinity/.test(text)) slow.push([K, L,
          P.lam]);
      }
    }
    done({ drawn, slow });
    """
    found = browser.later(code, loss)
    assert found["slow"] == [] and found["drawn"] > 1000


@pytest.mark.quick(2)
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (360, "dark"), (1440, "dark"), (768, "light")])
def test_nothing_overlaps_or_leaves_the_screen(browser, file, width, scheme):
    try:
        browser.resize(width, 900)
        for hash in ("#step=4&K=6&L=2&lam=0.005&d=20", "#K=20&L=8&n=50&lam=0.00001&d=40", "#K=19&L=2&lam=0.001&d=12"):
            browser.go(f"{file}{hash}&theme={scheme}")
            assert browser.js("return document.documentElement.scrollWidth <= window.innerWidth")
            assert browser.js(OVERLAPS) == []
    finally:
        browser.send(
            "POST", f"{browser.session}/goog/cdp/execute", {"cmd": "Emulation.clearDeviceMetricsOverride", "params": {}}
        )


OVERLAPS = """
const cards = [...document.querySelectorAll('.card')].filter((c) => c.offsetParent), found = [];
const box = (x) => x.getBoundingClientRect(), meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1
  && a.top < b.bottom - 1 && b.top < a.bottom - 1;
cards.forEach((a, i) => cards.slice(i + 1).forEach((b) => meet(box(a), box(b)) && found.push(a.id + ' ' + b.id)));
for (const c of cards) if (c.scrollWidth > c.clientWidth + 1) found.push('wide ' + c.id);
for (const t of document.querySelectorAll('svg text')) {
  const card = box(t.closest('.card')), b = box(t);
  if (!t.getClientRects().length) continue;
  if (b.left < card.left || b.right > card.right) found.push('text ' + t.textContent);
}
for (const bar of document.querySelectorAll('.bar')) {
  const [name, track, value] = [...bar.children].map(box);
  if (bar.children[0].scrollWidth > bar.children[0].clientWidth + 1 || meet(name, track) || meet(track,
    value)) found.push('bar ' + bar.dataset.name);
}
return found;
"""
