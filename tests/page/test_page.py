"""The page, driven in a browser as a user does; and what stands behind it, without one."""

import base64
import collections
import contextlib
import http.client
import json
import random
import socket
import time
import urllib.parse

import hand
import numpy as np
import pytest

import lenet5
from lenet5 import datasets, demo, models
from lenet5.errors import ConfigError, ImageError
from lenet5.page.anatomy import anatomy
from lenet5.page.guard import BURST, RATE, Bucket, Guard
from lenet5.page.reading import LONGEST, SIDE, Changes, Reader

# What stands behind the page


@pytest.fixture(scope="module")
def reader():
    return Reader(lenet5.pretrained(), datasets.load("digits")[1])


@pytest.fixture
def seven():
    ink = np.zeros((SIDE, SIDE), np.uint8)
    ink[22:32, 30:82] = 255
    for k in range(64):
        ink[30 + k, 74 - k // 2 : 84 - k // 2] = 255
    return ink


def test_reads_what_is_drawn(reader, seven):
    reading = reader.read(seven)
    assert reading["order"][0] == 7 and not reading["blank"]
    assert reading["outputs"][7] == min(reading["outputs"])
    assert json.loads(json.dumps(reading)) == reading
    net = reader.net
    expected = net.feature_maps(lenet5.prepare_digit(seven))
    assert [stage["name"] for stage in reading["stages"]] == list(expected)
    for stage in reading["stages"]:
        cells = np.frombuffer(base64.b64decode(stage["values"]), np.uint8).reshape(stage["shape"])
        values = stage["low"] + cells / 255.0 * (stage["high"] - stage["low"])
        assert np.abs(values.ravel() - expected[stage["name"]].ravel()).max() <= (stage["high"] - stage["low"]) / 500


def test_sliders_change_what_the_network_sees(reader, seven):
    plain = reader.read(seven)["stages"][0]["values"]
    for changes in (Changes(rotation=20), Changes(noise=0.1), Changes(thickness=2), Changes(thickness=-2)):
        assert reader.read(seven, changes)["stages"][0]["values"] != plain
    assert reader.read(seven, Changes(noise=0.1)) == reader.read(seven, Changes(noise=0.1))


def test_blank_paper_and_strokes_that_are_too_thin(reader):
    blank = np.zeros((SIDE, SIDE), np.uint8)
    assert reader.read(blank)["blank"]
    blank[50, 20:90] = 255
    with pytest.raises(ImageError, match="thickness"):
        reader.read(blank, Changes(thickness=-1))


def test_examples_fit_the_drawing_area(reader):
    rng = np.random.default_rng(0)
    for _ in range(10):
        assert max(reader.example(rng).shape) <= SIDE
        line = reader.example(rng, wide=True)
        assert line.shape[0] <= SIDE and line.shape[1] <= LONGEST * SIDE


def test_a_line_is_swept(reader):
    image = datasets.load("digits")[1].images
    image = image[reader.net.outputs(image).min(axis=1).argmin()]
    line = np.zeros((SIDE, LONGEST * SIDE), np.uint8)
    for k in range(3):
        line[:, 140 * k : 140 * k + SIDE] = np.kron(image, np.ones((4, 4), np.uint8))
    reading = reader.read(line, wide=True)
    assert reading["text"] == 3 * str(reader.net.predict(image)[0]) and len(reading["found"]) == 3


@pytest.mark.parametrize("name", [name for name in models.MODELS if name != "lenet5-cifar10"])
def test_every_grey_network_can_be_shown(name):
    reader = Reader(models.MODELS[name](), datasets.load("digits")[1])
    json.dumps(anatomy(reader.net))
    reading = reader.read(reader.example(np.random.default_rng(0)))
    assert [part["name"] for part in anatomy(reader.net)["stages"]] == [stage["name"] for stage in reading["stages"]]
    assert reader.sweeps == (name in ("lenet5", "lenet4", "lenet5-mattwang44")) or not reader.net.outputs_penalties


def test_colour_is_refused():
    with pytest.raises(ConfigError, match="grey"):
        Reader(models.cifar10(), datasets.load("digits")[1])


def test_kernels_of_the_anatomy(reader):
    parts = {part["name"]: part for part in anatomy(reader.net)["stages"]}
    third = parts["C3"]
    assert third["below"] == "S2" and third["field"][0] == [14, 14] and len(third["channels"]) == 60
    cells = np.frombuffer(base64.b64decode(third["weights"]), np.uint8) / 127.5 - 1
    np.testing.assert_allclose(cells * third["bound"], reader.net["C3"].weight.value.ravel(), atol=third["bound"] / 250)


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"host": "127.0.0.1:8098"}, 200),
        ({"host": "localhost:8098", "origin": "http://localhost:8098"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1:8098", "origin": "http://evil.example"}, 403),
        ({"host": "127.0.0.1:8098", "origin": "null"}, 403),
        ({"host": "127.0.0.1:80"}, 403),
        ({}, 403),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_foreign_hosts_and_origins_are_refused(headers, status, kind):
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    async def receive():
        return {}

    async def send(message):
        sent.append(message)

    scope = {"type": kind, "headers": [(k.encode(), v.encode()) for k, v in headers.items()]}
    run = Guard(app, 8098, 1000)(scope, receive, send)
    with pytest.raises(StopIteration):
        run.send(None)
    refused = sent[0]["type"] == "websocket.close" or sent[0].get("status") == 403
    assert refused == (status == 403)


def test_a_port_in_use_is_said(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert demo.run(["--port", str(port), "--open", "false"]) == 2
    text = capsys.readouterr().err
    assert str(port) in text and "--port 0" in text and "Traceback" not in text
    assert demo.run(["--port", "99999"]) == 2


def test_without_the_toolkit(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert demo.run(["--open", "false"]) == 2
    assert "lenet5[demo]" in capsys.readouterr().err


# The page itself


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    pytest.importorskip("nicegui", reason="the page needs nicegui: pip install 'lenet5[demo]'")
    with hand.serving(tmp_path_factory.mktemp("demo") / "errors.txt") as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'lenet5[test]'")
    found = hand.browser_path()
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(hand.BROWSERS)} is installed, and $CHROMIUM is not set")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=hand.QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(address, browser, request):
    options = getattr(request, "param", {"viewport": {"width": 1280, "height": 1000}})
    said, asked = [], []
    context = browser.new_context(**options)
    context.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    context.on("weberror", lambda error: said.append(str(error.error)))
    context.on("request", lambda asking: asked.append(asking.url))
    page = hand.open_page(context, address)
    said.clear()
    yield page
    foreign = [url for url in asked if not url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))]
    assert not foreign, "the page asked for something that is not its own"
    context.close()
    assert not said, said


def picture(page, stage):
    return page.evaluate(f"document.querySelector('canvas[data-stage={stage}]').toDataURL()")


def test_seven_and_three(page):
    assert page.get_by_test_id("digit").inner_text() == "–"
    before = {stage: picture(page, stage) for stage in ("input", "C1", "S2", "C3", "S4", "C5", "F6")}
    for digit in (7, 3):
        hand.clear(page)
        hand.draw(page, hand.DIGITS[digit][0])
        assert hand.answer(page) == str(digit)
        assert "Runner-up" in page.get_by_test_id("runner-up").inner_text()
        assert f"code of {digit}" in page.get_by_test_id("codes").inner_text().splitlines()[0]
        assert page.locator(".bar").count() == 10
        assert page.locator(".bar.best .name").inner_text() == str(digit)
        after = {stage: picture(page, stage) for stage in before}
        assert not [stage for stage in before if before[stage] == after[stage]]
        before = after


def test_twenty_digits(page):
    read = {}
    for digit, ways in hand.DIGITS.items():
        for k, strokes in enumerate(ways):
            hand.clear(page)
            hand.draw(page, strokes)
            read[digit, k] = hand.answer(page)
    wrong = {key: found for key, found in read.items() if found != str(key[0])}
    assert len(read) == 20 and len(wrong) <= 2, wrong


def test_pointing_at_units(page):
    hand.draw(page, hand.DIGITS[7][0])
    hand.settle(page)
    about = page.get_by_test_id("unit")
    assert "Point at a unit" in about.inner_text()
    kernels = page.locator(".unit-panel canvas")
    assert not kernels.is_visible()
    for stage, words, count in (
        ("C1", ("Sees 5 × 5", "map 0 of input", "1 kernel of 5 × 5"), 1),
        ("C3", ("Sees 14 × 14", "maps 0, 1, 2 of S2", "3 kernels"), 3),
        ("C5", ("Sees 32 × 32", "16 maps of S4", "16 kernels"), 16),
    ):
        plain = picture(page, "input")
        page.locator(f"canvas[data-stage={stage}]").hover(position={"x": 6, "y": 6})
        page.wait_for_function(f"document.querySelector('[data-testid=unit]').innerText.startsWith('{stage} ')")
        for word in words:
            assert word in about.inner_text()
        assert f"{count} kernels of {stage} 0" in kernels.get_attribute("aria-label")
        assert kernels.is_visible() and picture(page, "input") != plain
    page.locator("canvas[data-stage=S2]").hover(position={"x": 6, "y": 6})
    assert "Sum of 2 × 2 units of C1" in about.inner_text()
    assert page.locator("h1").inner_text() == "LeNet-5 reads your digit"


def test_by_keyboard_alone(page):
    page.locator(".pad canvas").focus()
    page.keyboard.press("Space")
    for _ in range(14):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    assert hand.answer(page) == "1"
    page.locator("canvas[data-stage=C3]").focus()
    page.keyboard.press("ArrowRight")
    first = page.get_by_test_id("unit").inner_text()
    page.keyboard.press("PageDown")
    page.keyboard.press("ArrowUp")
    assert first.startswith("C3 map 0, row 5, column 6") and "C3 map 1, row 4, column 6" in (
        page.get_by_test_id("unit").inner_text()
    )
    page.locator(".pad canvas").focus()
    page.keyboard.press("Delete")
    assert hand.answer(page) == "–"
    # Everything that can be operated is reached with Tab.
    page.locator("h1").click()
    reached = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.dataset.stage || document.activeElement.closest('[aria-label]')?.ariaLabel"
            )
        )
    assert {"input", "C1", "S2", "C3", "S4", "C5", "F6", "Rotation", "Noise", "Thickness"} <= reached


def test_sliders(page):
    hand.draw(page, hand.DIGITS[7][0])
    hand.settle(page)
    for label, key, words in (
        ("Rotation", "ArrowRight", "+1°"),
        ("Noise", "ArrowRight", "1%"),
        ("Thickness", "ArrowRight", "+1"),
    ):
        before = picture(page, "input")
        page.locator(f"[role=slider][aria-label={label}] [tabindex]").focus()
        page.keyboard.press(key)
        page.wait_for_function(
            "before => document.querySelector('canvas[data-stage=input]').toDataURL() !== before", arg=before
        )
        page.get_by_text(words, exact=label != "Noise").wait_for()
    page.get_by_role("button", name="Reset sliders").click()
    page.get_by_text("as drawn").wait_for()


def test_random_digits_and_a_line(page):
    page.get_by_role("button", name="Random from digits").click()
    page.wait_for_function("document.querySelector('[data-testid=digit]').innerText !== '–'")
    page.get_by_text("A line of digits").click()
    page.locator(".pad.wide").wait_for()
    hand.settle(page)
    for k, digit in enumerate((7, 3, 5)):
        hand.draw(page, hand.DIGITS[digit][0], left=0.03 + 0.3 * k, width=0.25)
    assert hand.answer(page) == "735"
    assert "3 digits found" in page.locator(".words").inner_text()
    page.locator("canvas[data-stage=C3]").hover(position={"x": 6, "y": 6})
    assert "Sees 14 × 14" in page.get_by_test_id("unit").inner_text()
    page.reload()
    hand.settle(page)
    page.wait_for_function("document.querySelector('[data-testid=digit]').innerText === '735'")
    page.get_by_text("A line of digits").click()
    page.locator(".pad:not(.wide)").wait_for()
    assert hand.answer(page) == "–"


def test_survives_a_reload(page):
    hand.draw(page, hand.DIGITS[3][0])
    assert hand.answer(page) == "3"
    page.reload()
    page.wait_for_function("document.querySelector('[data-testid=digit]')?.innerText === '3'")
    page.evaluate(
        'sessionStorage.setItem(\'lenet5-drawing\', \'{"wide": 7, "drawing": "data:image/png;base64,AAAA"}\')'
    )
    page.reload()
    hand.settle(page)
    assert hand.answer(page) == "–"


@pytest.mark.parametrize("garbage", ["null", "5", "'x'", "[]", "{data: 5}", "{data: 'AAAA'}", "{data: '###', n: 'x'}",
                                     "{data: 'AAAA', n: 1e400, t: {}, wide: []}"])  # fmt: skip
def test_survives_garbage(page, garbage):
    page.evaluate(f"getElement(Number(document.querySelector('.pad').id.slice(1))).$emit('ink', {garbage})")
    page.get_by_text("A drawing is 112 x 112 bytes").wait_for()
    hand.draw(page, hand.DIGITS[7][0])
    assert hand.answer(page) == "7"


@pytest.mark.parametrize(
    "page",
    [
        {"viewport": {"width": 1280, "height": 1000}, "color_scheme": "light"},
        {"viewport": {"width": 1280, "height": 1000}, "color_scheme": "dark"},
        {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark", "has_touch": True, "is_mobile": True},
    ],
    ids=["light", "dark", "phone"],
    indirect=True,
)
def test_accessible_and_in_its_frame(page):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python").Axe()
    hand.draw(page, hand.DIGITS[7][0])
    assert hand.answer(page) == "7"
    found = axe.run(page).response["violations"]
    serious = [
        (rule["id"], rule["nodes"][0]["html"][:200]) for rule in found if rule["impact"] in ("serious", "critical")
    ]
    assert not serious
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_light_and_dark(page):
    def colour():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    before = colour()
    page.get_by_role("button", name="Light or dark").click()
    page.wait_for_function(f"getComputedStyle(document.body).backgroundColor !== '{before}'")


# Floods


def test_a_bucket_fills_again():
    now = [0.0]
    bucket = Bucket(lambda: now[0])
    assert sum(bucket.take() for _ in range(2 * BURST)) == BURST
    now[0] += 1.0
    assert sum(bucket.take() for _ in range(2 * BURST)) == RATE
    now[0] += 1e6
    assert sum(bucket.take() for _ in range(2 * BURST)) == BURST


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"content-length": "1000"}, 200),
        ({"content-length": "1001"}, 413),
        ({"content-length": "-1"}, 413),
        ({"content-length": "1e2"}, 413),
        ({"content-length": "9" * 5000}, 413),
        ({"transfer-encoding": "chunked"}, 411),
    ],
)
def test_large_bodies_are_refused_unread(headers, status):
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    async def receive():
        raise AssertionError("the body is not to be read")

    async def send(message):
        sent.append(message)

    headers = {"host": "127.0.0.1:8098"} | headers
    scope = {"type": "http", "headers": [(k.encode(), v.encode()) for k, v in headers.items()]}
    with pytest.raises(StopIteration):
        Guard(app, 8098, 1000)(scope, receive, send).send(None)
    assert sent[0]["status"] == status


def connected(address):
    """A socket to the page, as soon as it listens."""
    host, port = address.split("//")[1].rstrip("/").split(":")
    for attempt in range(100):
        try:
            return socket.create_connection((host, int(port)), timeout=20), f"{host}:{port}"
        except OSError:
            if attempt == 99:
                raise
            time.sleep(0.1)


def test_a_body_of_100_mb_is_refused(address):
    stream, host = connected(address)
    with stream:
        stream.sendall(f"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000000\r\n\r\n".encode())
        answer, sent = stream.recv(100), 0
        assert answer.startswith(b"HTTP/1.1 413 ")
        with contextlib.suppress(OSError):  # closed
            while sent < 100_000_000:
                sent += stream.send(bytes(1 << 16))
        assert sent < 20_000_000


def messages(rng):
    """What no page of ours sends."""
    event = ["event", {"id": 1, "client_id": "x", "listener_id": "y", "args": [rng.random()]}]
    return rng.choice(
        [
            rng.randbytes(rng.randrange(1, 300)),
            "42" + "".join(chr(rng.randrange(32, 0x2FF)) for _ in range(rng.randrange(99))),
            "42" + json.dumps(event)[: rng.randrange(5, 90)],
            "42" + json.dumps(event),
            '42["handshake",{"client_id":"x"}]',
            f'42["{rng.choice(EVENTS)}",{rng.choice(JUNK)}]',
            "451-" + json.dumps(event),
            "4" + str(rng.randrange(10**9)),
            "1",
            "2" * rng.randrange(1000),
            "42" + "[" * 5000,
        ]
    )


EVENTS = ("log", "ack", "too_long_message", "javascript_response", "event")
JUNK = ("null", "[]", "{}", "1e999", '{"client_id":null}', '{"client_id":["a"],"id":{}}', '"x"', "[[[[]]]]")


@pytest.fixture(scope="module")
def flooded(tmp_path_factory):
    pytest.importorskip("nicegui", reason="the page needs nicegui: pip install 'lenet5[demo]'")
    with hand.serving(tmp_path_factory.mktemp("flood") / "errors.txt", garbage=True) as address:
        yield address


def test_ten_thousand_garbage_messages(flooded, browser):
    websockets = pytest.importorskip("websockets.sync.client", reason="needs websockets, which uvicorn brings")
    rng, sent, closed, statuses = random.Random(0), 0, 0, collections.Counter()
    stream, host = connected(flooded)
    stream.close()
    while sent < 10_000:
        try:
            path = f"ws://{host}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
            with websockets.connect(path, max_size=None, open_timeout=20, close_timeout=1) as page:
                page.send("40" + rng.choice(["", "{}", '{"x":1}', "junk"]))
                for _ in range(1000):
                    sent += 1
                    page.send(messages(rng))
                page.send("42" + "x" * 200_000)
        except (*websockets_errors(), OSError):
            closed += 1
        for _ in range(30):
            sent += 1
            with contextlib.suppress(OSError, http.client.HTTPException):
                asking = http.client.HTTPConnection(host, timeout=20)
                words = urllib.parse.quote(rng.randbytes(rng.randrange(60)))
                path = rng.choice(
                    ["/", f"/{words}", f"/demo/..%2f{words}", f"/_nicegui_ws/socket.io/?EIO=4&sid={words}"]
                )
                asking.request(rng.choice(["GET", "POST", "PUT", "X"]), path, body=rng.randbytes(rng.randrange(500)))
                statuses[asking.getresponse().status] += 1
                asking.close()
    assert closed > 5 and 500 not in statuses, (closed, statuses)
    time.sleep(BURST / RATE)  # one's own page pays for floods with a moment's patience
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = hand.open_page(context, flooded)
    hand.draw(page, hand.DIGITS[7][0])
    assert hand.answer(page) == "7"
    context.close()


def websockets_errors():
    import websockets.exceptions

    return (websockets.exceptions.WebSocketException, TimeoutError)
