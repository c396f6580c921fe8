"""The page: content of its file, and use in a browser."""

import base64
import json
import re

import hand
import numpy as np
import pytest
from PIL import Image, ImageDraw

import lenet5
from lenet5 import datasets, demo, models
from lenet5.arrays import Learned
from lenet5.errors import ConfigError
from lenet5.page.build import page_of

# The file


def network_in(page):
    return json.loads(re.search(r'id="network">(.*?)</script>', page, re.S)[1])


def test_one_file_with_everything(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("webbrowser.open", lambda address: pytest.fail("no browser was asked for"))
    out = tmp_path / "deep" / "mine.html"
    assert demo.run(["--out", str(out), "--open", "false", "--dataset", "digits"]) == 0
    assert str(out) in capsys.readouterr().out
    text = out.read_text()
    assert len(text) <= 700_000
    assert not re.search(
        r"""(src|href|url\(|import|fetch\(|XMLHttpRequest|WebSocket)\s*[=(]?\s*["']?(https?:)?//""", text
    )
    assert "default-src 'none'" in text
    data = network_in(text)
    assert data["classes"] == list("0123456789") and data["examples"]["name"] == "digits"


def test_the_browser_opens_it(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.chdir(tmp_path)
    assert demo.run(["--dataset", "digits"]) == 0
    assert opened == [(tmp_path / "lenet5.html").as_uri()]


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert demo.run(["--out", str(tmp_path / "file" / "x.html"), "--open", "false", "--dataset", "digits"]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_examples_and_what_is_misread():
    net, data = lenet5.pretrained(), datasets.load("digits")[1]
    answers = net.predict(data.images)
    examples = network_in(page_of(net, examples=data))["examples"]
    assert examples["wrong"] == (answers != data.labels).sum() and examples["of"] == len(data)
    images = np.frombuffer(base64.b64decode(examples["images"]), np.uint8).reshape(-1, 28, 28)
    assert (net.predict(images) == examples["answers"]).all()
    misread = np.flatnonzero(answers != data.labels)[:40]
    assert (images[-len(misread) :] == data.images[misread]).all()


def numbers_in(told):
    """Unpack the parameters of a network in a page, as the page does."""
    block = base64.b64decode(told["block"])
    if not told["halves"]:
        return np.frombuffer(block, np.float32)
    return (np.frombuffer(block, np.uint16).astype(np.uint32) << 16).view(np.float32)


def test_a_network_of_its_own_reads_lines():
    told = network_in(page_of(lenet5.pretrained()))
    reader, net = told["reader"], lenet5.pretrained("lenet5-line")
    assert reader["classes"] == [*"0123456789", " "] and reader["line"] == told["line"] | {
        "blank": 10, "reject": 0.0, "gap": 2,
    }  # fmt: skip
    assert not told["halves"] and reader["halves"]
    for some, whole in ((reader, net), (told, lenet5.pretrained())):
        first, end = some["steps"][0]["weight"]["block"]
        np.testing.assert_array_equal(numbers_in(some)[first:end], whole["C1"].weight.value.ravel())
    # Other networks read lines themselves if they can.
    for other, sweeps in ((models.mattwang44(), True), (models.lenet5(output="softmax"), False)):
        other.learned = lenet5.pretrained().learned
        told = network_in(page_of(other))
        assert "reader" not in told and told["word"] == "digit" and told["sweeps"] == sweeps


def test_examples_of_another_shape_are_left_out():
    assert not network_in(page_of(models.cifar10(), examples=datasets.load("digits")[1]))["examples"]["labels"]


def test_class_names_cannot_end_the_script():
    net = models.lenet5(classes=2, output="softmax")
    net.learned = Learned(("</script><script>alert(1)</script>", "[[script]]"))
    page = page_of(net)
    assert page.count("<script") == 2 and network_in(page)["classes"] == list(net.learned.classes)


def test_a_preparation_of_ones_own_is_refused():
    net = lenet5.pretrained()
    net.prepare = lambda images, **options: lenet5.datasets.prepare(images, **options)
    with pytest.raises(ConfigError, match="custom preparation"):
        page_of(net)


# The page in a browser


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'lenet5-numpy[dev]'")
    found = hand.browser_path()
    if found is None:
        pytest.skip(f"needs a browser: install one of {', '.join(hand.BROWSERS)}, or set $CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=hand.QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "lenet5.html"
    assert demo.run(["--out", str(path), "--open", "false", "--dataset", "digits"]) == 0
    return path.as_uri()


def opened(browser, address, **options):
    """Open the page offline; at the end, check that there were no requests, errors or warnings."""
    said, asked = [], []
    context = browser.new_context(offline=True, **options)
    context.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    context.on("weberror", lambda error: said.append(str(error.error)))
    context.on("request", lambda asking: asked.append(asking.url))
    yield hand.open_page(context, address)
    assert [url for url in asked if not url.startswith(("data:", "blob:"))].count(address) == len(
        [url for url in asked if not url.startswith(("data:", "blob:"))]
    ), "the page requested something outside its file"
    context.close()
    # The tests themselves, which read canvases back, cause the warning about willReadFrequently.
    assert not [words for words in said if "willReadFrequently" not in words]


@pytest.fixture
def page(address, browser, request):
    yield from opened(browser, address, **getattr(request, "param", {"viewport": {"width": 1280, "height": 1000}}))


def picture(page, stage):
    return page.evaluate(f"document.querySelector('canvas[data-stage={stage}]').toDataURL()")


def outputs(page, images):
    """Return the outputs of the page's own forward pass for images."""
    packed = {"bytes": base64.b64encode(images.tobytes()).decode(), "count": len(images)}
    code = """({bytes, count}) => {
        const all = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)), size = all.length / count;
        return Array.from({length: count}, (_, k) => window.lenet5.outputs(all.subarray(k * size, (k + 1) * size)));
    }"""
    return np.array(page.evaluate(code, packed))


VARIANTS = {
    **{name: build for name, build in models.MODELS.items() if name not in ("caffe", "tensorflow-tutorial")},
    "half-width": lambda: models.tensorflow_tutorial(variation="half-width"),
    "norm": lambda: models.d2l(norm=True, dropout=0.5),
    "prelu": lambda: models.d2l(activation="prelu"),
    "elu": lambda: models.d2l(activation="elu", subsampling="max"),
    "leaky-relu": lambda: models.d2l(activation="leaky-relu"),
    "third-stage": lambda: models.tensorflow_tutorial(variation="third-stage"),
    "softmax": lambda: models.lenet5(output="softmax", subsampling="max"),
    "networks within": lambda: built(
        lenet5.Sequential([lenet5.Conv2D(3, 5, name="C1"), lenet5.Tanh(), lenet5.Conv2D(2, 3)], name="a"),
        lenet5.Sequential([lenet5.Conv2D(2, 5, name="C1"), lenet5.Tanh()], name="b"), lenet5.Flatten(), lenet5.Dense(4),
    ),
    "odd": lambda: built(
        lenet5.Conv2D(4, (3, 4), stride=2, padding="same", name="A"), lenet5.Repeat(2), lenet5.ZeroPad2D(1, 0, 2, 1),
        lenet5.Subsampling(3, stride=2, coefficient=0.3, name="B"), lenet5.Tanh(),
        lenet5.AvgPool2D(3, stride=1, name="C"), lenet5.Flatten(), lenet5.BatchNorm(),
        lenet5.Dense(7, bias=0.2, name="D"), lenet5.PReLU(),
    ),
}  # fmt: skip


def built(*layers):
    net = lenet5.Sequential(layers)
    net.build((1, 28, 28), rng=np.random.default_rng(5))
    return net


@pytest.mark.parametrize("name", VARIANTS)
def test_every_network_answers_as_in_python(name, browser, tmp_path):
    net, rng = VARIANTS[name](), np.random.default_rng(1)
    for key, array in net.running().items():
        array[...] = rng.uniform(0.5, 2, array.shape) if key.endswith("variance") else rng.normal(0, 0.3, array.shape)
    images = datasets.load("digits")[1].images[:20]
    if net.in_shape[0] == 3:
        images = rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    path = tmp_path / "page.html"
    lenet5.export(net, path)
    for page in opened(browser, path.as_uri(), viewport={"width": 900, "height": 900}):
        found, expected = outputs(page, images), net.outputs(images)
        assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()
        best = (np.argmin if net.outputs_penalties else np.argmax)(found, axis=1)
        assert (best == net.predict(images)).all()
        maps = net.feature_maps(images[0])
        trace = page.evaluate(
            """(bytes) => {
                const [height, width] = NET.shape, channels = NET.channels;
                const picture = {height, width, channels, bytes: Uint8Array.from(bytes)};
                const trace = NET.trace(NET.input(picture));
                return NET.stages.map((stage) => [stage.name, Array.from(trace[stage.steps.at(-1)].data)]);
            }""",
            images[0].ravel().tolist(),
        )
        assert [stage for stage, _ in trace] == list(maps)[1:]
        for stage, values in trace:
            bound = 1e-5 * np.abs(maps[stage]).max()
            np.testing.assert_allclose(values, maps[stage].ravel(), atol=bound, err_msg=stage)
        hand.draw(page, hand.DIGITS[7][0])
        hand.settle(page)
        # At every stage, the sum in the panel equals the value that the stage shows.
        for stage, _ in trace:
            page.locator(f"canvas[data-stage='{stage}']").focus()
            page.keyboard.press("ArrowRight")
            value = re.search(r": ([+−]\d+\.\d\d)\.", page.get_by_test_id("unit").inner_text())[1]
            formed = page.get_by_test_id("sum").inner_text().strip()
            assert not formed or formed.endswith(value), (stage, value, formed)
            # Not shown for conv3, whose first row is padding, nor for a and b, which contain two sums.
            assert formed or stage in ("conv3", "a", "b")


def test_two_thousand_images(page):
    """Classes equal those in Python, for test images of MNIST if it is on disk, otherwise for digits."""
    try:
        images = datasets.load("mnist", download=False)[1].images[:2000]
    except lenet5.LenetError:
        images = np.concatenate(datasets.load("digits")[0].images[None])[:1400]
    net = lenet5.pretrained()
    found, expected = outputs(page, images), net.outputs(images)
    assert (found.argmin(axis=1) == net.predict(images)).all()
    assert (np.abs(found - expected).max(axis=1) <= 1e-3 * np.abs(expected).max(axis=1)).all()


def test_drawings_are_prepared_as_in_python(page):
    """The page's versions of `normalise_digit` and `normalise_line` give the same pixels, except for rounding."""
    for digit, ways in hand.DIGITS.items():
        hand.clear(page)
        hand.draw(page, ways[1])
        hand.settle(page)
        seen = page.evaluate("({ink: Array.from(inkOnPad().data), bytes: Array.from(digitOf(inkOnPad()).bytes)})")
        ink = np.array(seen["ink"], np.uint8).reshape(112, 112)
        expected = datasets.normalise_digit(ink, invert=False).ravel().astype(int)
        assert np.abs(np.array(seen["bytes"]) - expected).max() <= 3, digit
    line = page.evaluate("(() => { const l = lineOf(inkOnPad()); return [l.width, Array.from(l.bytes)] })()")
    expected = datasets.normalise_line(ink, invert=False)
    assert line[0] == expected.shape[1] and np.abs(np.array(line[1]) - expected.ravel().astype(int)).max() <= 3


def test_seven_and_three(page):
    assert page.get_by_test_id("digit").inner_text() == "–"
    before = {stage: picture(page, stage) for stage in ("input", "C1", "S2", "C3", "S4", "C5", "F6", "output")}
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
    assert len(read) == 20
    assert {key: found for key, found in read.items() if found != str(key[0])} == {}


def test_pointing_at_units(page):
    hand.draw(page, hand.DIGITS[7][0])
    hand.settle(page)
    about, formed = page.get_by_test_id("unit"), page.get_by_test_id("sum")
    assert "Point at a unit" in about.inner_text() and formed.inner_text() == ""
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
        assert formed.locator(".product").count() == count
        assert formed.locator("canvas").count() == 2 * count
        assert "(bias)" in formed.inner_text() and "1.7159 tanh(0.667 a)" in formed.inner_text()
        assert picture(page, "input") != plain
    page.locator("canvas[data-stage=S2]").hover(position={"x": 6, "y": 6})
    assert "Sum of 2 × 2 units of C1" in about.inner_text() and "(coefficient)" in formed.inner_text()
    page.locator("canvas[data-stage=F6]").hover(position={"x": 6, "y": 6})
    assert "108 smaller products" in formed.inner_text()
    page.locator("canvas[data-stage=output]").hover(position={"x": 6, "y": 6})
    assert "sum of 84 squares" in formed.inner_text() and formed.locator("canvas").count() == 3
    assert page.locator("h1").inner_text() == "LeNet-5 reads your digit"


def test_the_products_are_those_of_the_network(page):
    """The products shown next to the kernels add up to the unit's value."""
    hand.draw(page, hand.DIGITS[3][0])
    hand.settle(page)
    page.locator("canvas[data-stage=C3]").hover(position={"x": 30, "y": 30})
    page.mouse.down()
    page.mouse.up()
    text = page.get_by_test_id("sum").inner_text().replace("−", "-")
    total = re.search(r"a = (.*) \(bias\) = (\S+); x = .* = (\S+)$", text)
    terms = [float(term) for term in total[1].split()]
    assert float(total[2]) == pytest.approx(sum(terms), abs=0.03)  # each term is rounded to 0.005
    assert float(total[3]) == pytest.approx(1.7159 * np.tanh(2 / 3 * float(total[2])), abs=0.011)
    page.locator("canvas[data-stage=C1]").hover(position={"x": 30, "y": 30})
    assert page.get_by_test_id("unit").inner_text().startswith("C3")  # pinned by the click
    page.keyboard.press("Tab")
    page.locator("canvas[data-stage=C3]").focus()
    page.keyboard.press("Escape")
    assert "Point at a unit" in page.get_by_test_id("unit").inner_text()


def test_stepping_through_the_stages(page):
    hand.draw(page, hand.DIGITS[3][0])
    hand.settle(page)
    names = ["input", "C1", "S2", "C3", "S4", "C5", "F6", "output"]
    for k, name in enumerate(names):
        page.get_by_role("button", name="Next stage").click()
        assert page.get_by_test_id("step").inner_text() == f"Stage {k + 1} of 8: {name}"
        assert page.get_by_test_id("unit").inner_text().startswith(name)
        assert page.locator(".stage.current h2").inner_text().startswith(name)
    assert page.get_by_test_id("unit").inner_text().startswith("output unit 3")
    page.get_by_role("button", name="Previous stage").click()
    assert "F6" in page.get_by_test_id("step").inner_text()
    for stage, words in {"C3": "Table I", "S2": "coefficient", "C1": "eqs. 5 and 6", "output": "eq. 7"}.items():
        assert words in page.locator(f".stage[data-name={stage}] .why").inner_text()


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
    # Tab reaches all controls.
    page.locator("h1").click()
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(e => e.dataset.stage || e.id || e.ariaLabel || e.type)(document.activeElement)"))
    expected = {
        "input",
        "C1",
        "S2",
        "C3",
        "S4",
        "C5",
        "F6",
        "output",
        "rotation",
        "noise",
        "thickness",
        "clear",
        "random",
    }
    assert expected | {"line", "reset", "theme", "next", "back", "pad", "file"} <= reached


def test_sliders(page):
    hand.draw(page, hand.DIGITS[7][0])
    hand.settle(page)
    for name, words in (("rotation", "+1°"), ("noise", "1% of the pixels inverted"), ("thickness", "+1")):
        before = picture(page, "input")
        page.locator(f"#{name}").focus()
        page.keyboard.press("ArrowRight")
        assert picture(page, "input") != before
        page.get_by_text(words, exact=True).wait_for()
    page.get_by_role("button", name="Reset sliders").click()
    page.get_by_text("as drawn").wait_for()
    page.locator("#rotation").evaluate("e => { e.value = 20; e.oninput() }")
    turned = np.array(page.evaluate("Array.from(reading.picture.bytes)"))
    straight = np.array(page.evaluate("Array.from(NET.placed(digitOf(inkOnPad())).bytes)"), np.uint8)
    expected = datasets.distort.transform(straight.reshape(1, 32, 32), rotation=20.0)[0].ravel()
    assert np.abs(turned - expected.astype(int)).max() <= 1


def test_strokes_that_are_too_thin(page):
    hand.draw(page, [[(0.2, 0.5), (0.8, 0.5)]])
    page.locator("#thickness").evaluate("e => { e.min = -60; e.value = -60; e.oninput() }")
    assert "thickness slider" in page.locator(".words .first").inner_text()
    assert page.get_by_test_id("digit").inner_text() == "–"


def test_random_digits_and_a_line(page):
    page.get_by_role("button", name="Random from digits").click()
    assert hand.answer(page) != "–"
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
    page.wait_for_function("document.querySelector('[data-testid=digit]').innerText === '735'")
    page.get_by_role("button", name="Random from digits").click()
    assert len(hand.answer(page)) >= 3
    page.get_by_text("A line of digits").click()
    page.locator(".pad:not(.wide)").wait_for()
    assert hand.answer(page) == "–"


def test_a_line_is_swept_as_in_python(page):
    page.get_by_text("A line of digits").click()
    for k, digit in enumerate((2, 0, 1)):
        hand.draw(page, hand.DIGITS[digit][0], left=0.03 + 0.3 * k, width=0.25)
    hand.settle(page)
    ink = np.array(page.evaluate("Array.from(inkOnPad().data)"), np.uint8).reshape(112, -1)
    from lenet5.analysis.sdnn import sweep

    expected = sweep(lenet5.pretrained("lenet5-line"), datasets.normalise_line(ink, invert=False))
    found = page.evaluate("reading.found")
    assert [each["digit"] for each in found] == [each.digit for each in expected.digits]
    for mine, theirs in zip(found, expected.digits, strict=True):
        assert mine["column"] == theirs.column and mine["penalty"] == pytest.approx(theirs.penalty, abs=0.3)


def test_what_is_misread(page):
    first = page.locator(".examples button").first
    label, answer = re.match(r"(\d) → (\d)", first.inner_text().strip()).groups()
    first.click()
    assert label != answer and hand.answer(page) == answer


def picture_of(path, text_colour, paper, *, digits="7", size=(300, 300)):
    image = Image.new("RGB", size, paper)
    draw = ImageDraw.Draw(image)
    for k in range(len(digits)):
        x = 60 + 160 * k
        draw.line([(x, 60), (x + 100, 60), (x + 40, 240)], fill=text_colour, width=22)
    image.save(path)
    return path


@pytest.mark.parametrize("colours", [("black", "white"), ("white", "black"), ("navy", (250, 240, 200))], ids=str)
def test_a_picture_is_opened(page, tmp_path, colours):
    page.locator("input[type=file]").set_input_files(picture_of(tmp_path / "seven.png", *colours))
    page.wait_for_function("document.querySelector('[data-testid=digit]').innerText === '7'")


def test_several_digits_in_a_picture_are_a_line(page, tmp_path):
    path = picture_of(tmp_path / "line.png", "black", "white", digits="777", size=(560, 300))
    page.locator("input[type=file]").set_input_files(path)
    page.wait_for_function("document.querySelector('[data-testid=digit]').innerText === '777'")


def test_a_picture_is_dropped_and_pasted(page, tmp_path):
    data = base64.b64encode(picture_of(tmp_path / "seven.png", "black", "white").read_bytes()).decode()
    for kind in ("drop", "paste"):
        hand.clear(page)
        page.evaluate(
            """([data, kind]) => {
                const carried = new DataTransfer();
                const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
                const more = {bubbles: true, cancelable: true};
                carried.items.add(new File([bytes], "7.png", {type: "image/png"}));
                const how = kind === "drop" ? new DragEvent("drop", {dataTransfer: carried, ...more})
                  : new ClipboardEvent("paste", {clipboardData: carried, ...more});
                document.body.dispatchEvent(how);
            }""",
            [data, kind],
        )
        page.wait_for_function("document.querySelector('[data-testid=digit]').innerText === '7'")


def test_what_is_no_picture(page, tmp_path):
    (tmp_path / "notes.txt").write_text("seven")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nothing")
    Image.new("RGB", (50, 50), "white").save(tmp_path / "blank.png")
    for name, words in (("notes.txt", "not a picture"), ("broken.png", ""), ("blank.png", "Nothing is drawn")):
        page.locator("input[type=file]").set_input_files(tmp_path / name)
        page.wait_for_function(
            "document.querySelector('.words .first').innerText !== 'Draw a digit: it is read as you draw.'"
        )
        assert words in page.locator(".words .first").inner_text()
        hand.clear(page)
    hand.draw(page, hand.DIGITS[7][0])
    assert hand.answer(page) == "7"


def test_survives_a_reload(page):
    hand.draw(page, hand.DIGITS[3][0])
    assert hand.answer(page) == "3"
    page.reload()
    page.wait_for_function("document.querySelector('[data-testid=digit]')?.innerText === '3'")
    for kept in ('{"wide": 7, "drawing": "data:image/png;base64,AAAA"}', "null", "[", '{"drawing": 5}'):
        page.evaluate("kept => sessionStorage.setItem('lenet5-drawing', kept)", kept)
        page.reload()
        hand.settle(page)
        assert hand.answer(page) == "–"


def test_colour_and_class_names(browser, tmp_path):
    net, rng = models.cifar10(classes=3), np.random.default_rng(0)
    net.learned = Learned(("cat", "a dog & co", "<b>ship</b>"), (32, 32, 3))
    images = rng.integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    data = datasets.from_arrays(images, np.array(net.learned.classes)[np.arange(30) % 3], name="mine")[0]
    path = tmp_path / "colour.html"
    lenet5.export(net, path, examples=data)
    for page in opened(browser, path.as_uri(), viewport={"width": 1280, "height": 1000}):
        assert page.locator("h1").inner_text() == "LeNet reads your picture"
        assert page.locator("#line").is_disabled()
        page.get_by_role("button", name="Random from mine").click()
        assert hand.answer(page) in net.learned.classes
        hand.clear(page)
        Image.fromarray(images[0]).save(tmp_path / "one.png")
        page.locator("input[type=file]").set_input_files(tmp_path / "one.png")
        expected = str(net.classes[net.predict(images[:1])[0]])
        page.wait_for_function("name => document.querySelector('[data-testid=digit]').innerText === name", arg=expected)
        assert (np.array(page.evaluate("Array.from(reading.picture.bytes)")) == images[0].ravel()).all()
        hand.draw(page, hand.DIGITS[7][0])
        assert hand.answer(page) in net.learned.classes


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
    for _ in range(4):
        page.get_by_role("button", name="Next stage").click()
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
    assert colour() != before
