"""``python -m benchmarks.page``: the page in a real browser, measured and photographed.

A hand draws the 20 digits of the tests; printed is how many are read, and the time from a stroke to the picture of
what the network makes of it, as the browser's own clock has it. ``--pictures DIR`` writes the screenshots of the
README, ``--json FILE`` the figures. Needs ``pip install 'lenet5[test]'`` and Chromium.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from lenet5.files import atomic_write
from lenet5.run.build import circumstances
from tests import hand

DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 1000}, "color_scheme": "light"}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True,
                         "is_mobile": True}  # fmt: skip


def measure(page: Any) -> dict[str, Any]:
    """Draw every digit; return what was read, and the delays."""
    read = {}
    page.evaluate("window.lenet5Delays = []")
    for digit, ways in hand.DIGITS.items():
        for k, strokes in enumerate(ways):
            hand.clear(page)
            hand.draw(page, strokes)
            read[f"{digit}.{k}"] = hand.answer(page)
    delays = sorted(page.evaluate("window.lenet5Delays"))
    return {
        "digits_drawn": len(read),
        "digits_read": sum(found == key[0] for key, found in read.items()),
        "misread": {key: found for key, found in read.items() if found != key[0]},
        "pictures": len(delays),
        "stroke_to_picture_ms_median": round(statistics.median(delays), 1),
        "stroke_to_picture_ms_p95": round(delays[int(0.95 * len(delays))], 1),
    }


def photograph(browser: Any, address: str, folder: Path) -> None:
    """Write page.png, page_phone.png and page_line.png."""
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
            page.locator("canvas[data-stage=C3]").hover(position={"x": 150, "y": 45})
            page.evaluate("window.scrollTo(0, 0)")
        hand.settle(page)
        page.screenshot(path=folder / f"{name}.png", full_page=name == "page")
        context.close()


def main() -> int:
    """Run the command."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0].partition(": ")[2])
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write screenshots there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    path = hand.browser_path()
    if path is None:
        print(f"no browser: none of {', '.join(hand.BROWSERS)} is installed, and $CHROMIUM is not set", file=sys.stderr)
        return 1
    with (
        tempfile.TemporaryDirectory() as folder,
        hand.serving(Path(folder) / "errors.txt") as address,
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(executable_path=path, args=hand.QUIET)
        figures = measure(hand.open_page(browser, address, **DESKTOP)) | {"browser": f"Chromium {browser.version}"}
        if options.pictures:
            photograph(browser, address, options.pictures)
        browser.close()
    print(json.dumps(figures, indent=1))
    if options.json:
        with atomic_write(options.json, text=True) as file:
            json.dump({"command": "python -m benchmarks.page"} | figures | circumstances(), file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
