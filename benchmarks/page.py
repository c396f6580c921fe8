"""``python -m benchmarks.page``: measure the page of `lenet5.demo` in a real browser, and take its screenshots.

Simulated strokes draw the 20 digits of the tests on the page, which is opened from disk in an offline browser. The
command prints how many digits are read correctly, the time from a stroke to the updated picture (by the browser's
clock), the page's requests, and how its outputs for 2,000 test images differ from Python's (MNIST if it is on disk,
otherwise digits). ``--pictures DIR`` writes the screenshots page.png, page_phone.png and page_line.png; ``--json FILE``
writes the results. Needs ``pip install 'lenet5-numpy[dev]'`` and Chromium.
"""

import argparse
import base64
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import lenet5
from lenet5 import datasets, demo
from lenet5.files import atomic_write
from lenet5.run.build import circumstances
from tests.page import hand

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 1000}, "color_scheme": "light"}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True,
                         "is_mobile": True}  # fmt: skip


def measure(browser: Any, address: str) -> dict[str, Any]:
    """Draw all digits in an offline browser; return the answers, the delays and the number of requests."""
    context = browser.new_context(offline=True, **DESKTOP)
    asked: list[str] = []
    context.on("request", lambda asking: asked.append(asking.url))
    page, read = hand.open_page(context, address), {}
    page.evaluate("window.lenet5Delays = []")
    for digit, ways in hand.DIGITS.items():
        for k, strokes in enumerate(ways):
            hand.clear(page)
            hand.draw(page, strokes)
            read[f"{digit}.{k}"] = hand.answer(page)
    delays = sorted(page.evaluate("window.lenet5Delays"))
    agreement = agree(page)
    context.close()
    return {
        "requests": sum(not url.startswith(("data:", "blob:")) and url != address for url in asked),
        **agreement,
        "digits_drawn": len(read),
        "digits_read": sum(found == key[0] for key, found in read.items()),
        "misread": {key: found for key, found in read.items() if found != key[0]},
        "pictures": len(delays),
        "stroke_to_picture_ms_median": round(statistics.median(delays), 1),
        "stroke_to_picture_ms_p95": round(delays[int(0.95 * len(delays))], 1),
    }


def agree(page: Any) -> dict[str, Any]:
    """Compare the page's outputs for 2,000 test images with Python's."""
    net, images = lenet5.pretrained(), datasets.load_auto(download=False)[1].images[:2000]
    code = """({bytes, count}) => {
        const all = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)), size = all.length / count;
        return Array.from({length: count}, (_, k) => window.lenet5.outputs(all.subarray(k * size, (k + 1) * size)));
    }"""
    packed = {"bytes": base64.b64encode(images.tobytes()).decode(), "count": len(images)}
    found, expected = np.array(page.evaluate(code, packed)), net.outputs(images)
    return {
        "images_compared": len(images),
        "classes_that_differ": int((found.argmin(axis=1) != net.predict(images)).sum()),
        "largest_relative_difference": float((abs(found - expected) / abs(expected)).max()),
    }


def photograph(browser: Any, address: str, folder: Path) -> None:
    """Write the screenshots page.png, page_phone.png and page_line.png."""
    for name, options in (("page", DESKTOP), ("page_phone", PHONE), ("page_line", DESKTOP)):
        context = browser.new_context(**options)
        page = hand.open_page(context, address)
        if name == "page_line":
            page.get_by_text("A line of digits").click()
            page.locator(".pad.wide").wait_for()
            hand.settle(page)
            for k, digit in enumerate((1, 9, 9, 8)):
                hand.draw(page, hand.DIGITS[digit][0], left=0.02 + 0.24 * k, width=0.24)
        else:
            hand.draw(page, hand.DIGITS[3][0])
            hand.settle(page)
            page.locator("canvas[data-stage=C3]").click(position={"x": 150, "y": 45})
            page.evaluate("window.scrollTo(0, 0)")
        hand.settle(page)
        page.screenshot(path=folder / f"{name}.png", full_page=name == "page")
        context.close()


def main() -> int:
    """Run the command."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(": ")[2])
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write the screenshots to DIR")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results to FILE")
    options = parser.parse_args()
    path = hand.browser_path()
    if path is None:
        print(
            f"no browser found: install one of {', '.join(hand.BROWSERS)}, or set $CHROMIUM to the path of one",
            file=sys.stderr,
        )
        return 1
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        file = Path(folder) / "lenet5.html"
        if demo.run(["--out", str(file), "--open", "false"]):
            return 1
        browser = driver.chromium.launch(executable_path=path, args=hand.QUIET)
        figures = {"browser": f"Chromium {browser.version}", "page_bytes": file.stat().st_size}
        figures |= measure(browser, file.as_uri())
        if options.pictures:
            photograph(browser, file.as_uri(), options.pictures)
        browser.close()
    print(json.dumps(figures, indent=1))
    if options.json:
        with atomic_write(options.json, text=True) as file:
            json.dump({"command": "python -m benchmarks.page"} | figures | circumstances(), file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
