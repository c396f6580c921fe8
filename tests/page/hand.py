"""Draw digits on the demo page. A stroke is a list of points of the unit square, x to the right and y down."""

import math
import os
import shutil

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# No sandbox, no GPU, and no network requests by the browser itself.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


def arc(x, y, across, down, start, end, steps=14):
    """Return points of an elliptic arc; angles are in degrees, clockwise from the right."""
    angles = [math.radians(start + (end - start) * k / steps) for k in range(steps + 1)]
    return [(x + across * math.cos(a), y + down * math.sin(a)) for a in angles]


# Two ways to write each digit, each a list of strokes.
DIGITS = {
    0: [[arc(0.5, 0.5, 0.2, 0.3, -90, 270)], [arc(0.5, 0.5, 0.26, 0.32, -60, 300)]],
    1: [[[(0.5, 0.18), (0.5, 0.82)]], [[(0.38, 0.32), (0.54, 0.17), (0.5, 0.83)]]],
    2: [
        [[*arc(0.5, 0.36, 0.2, 0.18, -170, 30), (0.3, 0.8), (0.74, 0.8)]],
        [[*arc(0.48, 0.34, 0.18, 0.16, -200, 40), (0.32, 0.76), (0.45, 0.74), (0.72, 0.82)]],
    ],
    3: [
        [arc(0.46, 0.34, 0.2, 0.16, -150, 90) + arc(0.46, 0.66, 0.22, 0.17, -90, 150)],
        [[(0.3, 0.2), (0.68, 0.2), (0.48, 0.44)] + arc(0.46, 0.64, 0.22, 0.19, -80, 150)],
    ],
    4: [
        [[(0.34, 0.2), (0.3, 0.54), (0.72, 0.54)], [(0.66, 0.2), (0.64, 0.84)]],
        [[(0.56, 0.18), (0.28, 0.58), (0.76, 0.58)], [(0.6, 0.36), (0.58, 0.86)]],
    ],
    5: [
        [[(0.7, 0.2), (0.36, 0.2), (0.34, 0.46)] + arc(0.48, 0.63, 0.2, 0.19, -120, 140)],
        [[(0.38, 0.2), (0.36, 0.46)] + arc(0.48, 0.62, 0.18, 0.2, -110, 130), [(0.38, 0.2), (0.7, 0.18)]],
    ],
    6: [
        [[(0.6, 0.16), (0.42, 0.38), (0.34, 0.62)] + arc(0.5, 0.66, 0.16, 0.17, 180, -180)],
        [arc(0.62, 0.52, 0.3, 0.36, -110, -200) + arc(0.48, 0.68, 0.15, 0.15, 160, -190)],
    ],
    7: [
        [[(0.28, 0.2), (0.72, 0.2), (0.45, 0.85)]],
        [[(0.3, 0.26), (0.5, 0.2), (0.72, 0.22), (0.6, 0.5), (0.52, 0.84)]],
    ],
    8: [
        [arc(0.5, 0.34, 0.15, 0.16, 90, 450) + arc(0.5, 0.66, 0.18, 0.16, -90, 270)],
        [[*arc(0.52, 0.33, 0.16, 0.15, -30, -270), *arc(0.5, 0.66, 0.17, 0.17, -90, 240), (0.64, 0.26)]],
    ],
    9: [
        [arc(0.48, 0.36, 0.17, 0.17, 0, -360) + [(0.64, 0.52), (0.6, 0.84)]],
        [arc(0.5, 0.36, 0.16, 0.17, -20, -350) + [(0.66, 0.3), (0.66, 0.5), (0.56, 0.86)]],
    ],
}  # fmt: skip


def browser_path():
    """Return the path of an installed browser, or None if there is none."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)


def open_page(browser, address, **options):
    """Open the page, and wait until it is ready for drawing."""
    page = browser.new_page(**options)
    page.goto(address)
    settle(page)
    return page


def draw(page, strokes, *, left=0.0, width=1.0):
    """Draw strokes with the mouse on the part of the drawing area given by `left` and `width`."""
    box = page.locator(".pad canvas").bounding_box()
    for stroke in strokes:
        points = [(box["x"] + (left + x * width) * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=3)
        page.mouse.up()


def settle(page):
    """Wait until the page shows the result for the current drawing."""
    page.wait_for_function("window.lenet5Settled && window.lenet5Settled()", timeout=20_000)


def answer(page):
    """Return the digit that the page reads, as text."""
    settle(page)
    return page.get_by_test_id("digit").inner_text()


def clear(page):
    """Press Clear, and wait for the result."""
    page.get_by_role("button", name="Clear").click()
    settle(page)
