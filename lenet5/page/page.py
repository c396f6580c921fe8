"""The page: a drawing area, sliders and buttons, and what the network makes of it all."""

import base64
import binascii
import logging
import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from nicegui import app, core, ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments
from numpy.typing import NDArray

from ..errors import LenetError, ShapeError
from .anatomy import anatomy
from .guard import HOSTS, Guard
from .reading import LONGEST, SIDE, Changes, Reader

__all__ = ["serve"]

_STATIC = Path(__file__).parent / "static"
# name of a change -> its label, least, most and step, and how its value is written
_SLIDERS: dict[str, tuple[str, float, float, float, Callable[[float], str]]] = {
    "rotation": ("Rotation", -60, 60, 1, lambda v: f"{v:+.0f}°" if v else "0°"),
    "noise": ("Noise", 0, 0.4, 0.01, lambda v: f"{v:.0%} of the pixels inverted"),
    "thickness": ("Thickness", -4, 8, 1, lambda v: f"{v:+.0f}" if v else "as drawn"),
}


class _Pad(Element, component="static/pad.js"):
    """The drawing area; its event "ink" carries the drawing."""


class _Stages(Element, component="static/stages.js"):
    """Every stage of the network, and its answer."""


class _Session:
    """One browser tab: its drawing, and where its sliders stand."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.ink: NDArray[np.uint8] = np.zeros((SIDE, SIDE), np.uint8)
        self.wide = False
        self.changes: dict[str, float] = {f.name: f.default for f in fields(Changes)}  # type: ignore[misc]
        self.rng = np.random.default_rng()

    def drawn(self, event: GenericEventArguments) -> None:
        """Read what the drawing area sent, and show it."""
        sent = event.args if isinstance(event.args, dict) else {}
        try:
            self.ink, self.wide = _ink(sent)
            self.line.value = self.wide  # after a reload the drawing area knows
        except LenetError as error:
            self.stages.run_method("fail", str(error), {})
            return
        number, when = sent.get("n"), sent.get("t")
        self.show({k: v for k, v in (("n", number), ("t", when)) if isinstance(v, int | float)})

    def show(self, stamp: dict[str, Any] | None = None) -> None:
        """Show the network's reading; `stamp` tells the drawing area which drawing it is of."""
        changes = Changes(self.changes["rotation"], self.changes["noise"], round(self.changes["thickness"]))
        try:
            self.stages.run_method("show", self.reader.read(self.ink, changes, wide=self.wide) | (stamp or {}))
        except LenetError as error:
            self.stages.run_method("fail", str(error), stamp or {})

    def build(self) -> None:
        """Lay out the page."""
        reader = self.reader
        dark = ui.dark_mode(None)
        ui.colors(primary="#0b72b9")
        with ui.element("div").classes("lenet5"):
            with ui.element("section").classes("hand").props('aria-label="Draw"'):
                with ui.element("div").classes("title"):
                    with ui.element("h1"):
                        ui.label("LeNet-5 reads your digit")
                    theme = ui.button(icon="contrast").props("flat round color=null")
                    theme.props('aria-label="Light or dark"').on_click(lambda: dark.set_value(not dark.value))
                self.pad = _Pad().props(f":side={SIDE} :longest={LONGEST}").on("ink", self.drawn)
                with ui.element("div").classes("buttons"):
                    ui.button("Clear", icon="delete_outline", on_click=lambda: self.pad.run_method("clear"))
                    ui.button(f"Random from {reader.data.name}", icon="casino", on_click=self.example)
                    self.line = ui.switch("A line of digits", on_change=self.widen)
                    if not reader.sweeps:
                        self.line.disable()
                        self.line.tooltip("Needs a network with RBF units and no fixed size, as the paper's.")
                with ui.element("div").classes("sliders"):
                    for name, (label, least, most, step, write) in _SLIDERS.items():
                        self._slider(name, label, least, most, step, write)
                ui.button("Reset sliders", on_click=self.reset).props("flat dense color=null")
            self.stages = _Stages().classes("net")
        self.stages.props["anatomy"] = anatomy(reader.net)

    def _slider(
        self, name: str, label: str, least: float, most: float, step: float, write: Callable[[float], str]
    ) -> None:
        with ui.element("div").classes("slider"):
            with ui.element("div").classes("label"):
                ui.label(label)
                ui.label().bind_text_from(self.changes, name, write)
            slider = ui.slider(min=least, max=most, step=step).props(f'aria-label="{label}" data-change={name}')
            slider.bind_value(self.changes, name).on_value_change(lambda: self.show())
            if name == "rotation":
                slider.bind_enabled_from(self.line, "value", backward=lambda wide: not wide)

    def example(self) -> None:
        """Put an image of the data into the drawing area."""
        picture = self.reader.example(self.rng, wide=self.wide)
        self.pad.run_method("load", base64.b64encode(picture.tobytes()).decode(), *picture.shape)

    def widen(self) -> None:
        """Change between one digit and a line."""
        if self.wide != self.line.value:
            self.wide = bool(self.line.value)
            self.pad.run_method("widen", self.wide)

    def reset(self) -> None:
        """Put every slider where it changes nothing."""
        for field in fields(Changes):
            self.changes[field.name] = field.default  # type: ignore[assignment]


def _ink(sent: dict[str, Any]) -> tuple[NDArray[np.uint8], bool]:
    """Decode a drawing; whatever else is sent is a ShapeError."""
    wide = sent.get("wide") is True
    shape = (SIDE, SIDE * (LONGEST if wide else 1))
    try:
        data = base64.b64decode(sent["data"], validate=True)
        return np.frombuffer(data, np.uint8).reshape(shape), wide
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise ShapeError(f"A drawing is {shape[0]} x {shape[1]} bytes in base64.") from error


def serve(reader: Reader, *, port: int, show: bool) -> None:
    """Serve the page on the loopback address until it is stopped.

    Parameters
    ----------
    reader : Reader
    port : int
    show : bool
        Open a browser.
    """
    most = 4 * math.ceil(SIDE * SIDE * LONGEST / 3) + 10_000  # bytes of the widest drawing in base64, and change
    app.add_middleware(Guard, port=port, most=most)
    app.add_static_files("/demo", _STATIC, max_cache_age=0)
    core.sio.eio.cors_allowed_origins = [f"http://{host}:{port}" for host in HOSTS]
    logging.getLogger("engineio.server").setLevel(logging.CRITICAL)  # else each garbage message fills a screen
    core.sio.eio.max_http_buffer_size = most

    @ui.page("/", title="LeNet-5 reads your digit")
    async def index() -> None:
        session = _Session(reader)
        ui.add_head_html(
            '<link rel="stylesheet" href="/demo/style.css"><script>document.documentElement.lang = "en"</script>'
        )
        session.build()

    ui.run(
        host="127.0.0.1",
        port=port,
        show=show,
        reload=False,
        show_welcome_message=False,
        message_history_length=20,
        reconnect_timeout=5.0,
        ws_max_size=most,
        limit_concurrency=64,
    )
