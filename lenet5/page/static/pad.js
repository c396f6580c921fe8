// The drawing area. It emits "ink" with the drawing as bytes (0 paper, 255 ink), one drawing at a time: the next is
// sent when the last has been shown. The drawing survives a reload in the tab's own storage.
const STORE = "lenet5-drawing";
const PEN = 1 / 12; // of the height
const PATIENCE = 2000; // ms until an unanswered drawing is given up

export default {
  props: { side: Number, longest: Number },
  template: `
    <div class="pad" :class="{ wide }">
      <canvas ref="canvas" tabindex="0" role="application" aria-roledescription="drawing area"
        aria-label="Draw a digit with mouse, finger or pen. Keys: arrows move the pen, space puts it down and lifts it, Delete clears."
        @pointerdown.prevent="down" @pointermove="move" @pointerup="up" @pointercancel="up"
        @keydown="key" @blur="pen = null"></canvas>
      <div v-if="pen" class="pen" :class="{ down: pen.down }" :style="{ left: pen.x * 100 + '%', top: pen.y * 100 + '%' }"></div>
      <div v-if="empty" class="hint">{{ wide ? "draw some digits, a little apart" : "draw a digit here" }}</div>
    </div>`,
  data: () => ({ wide: false, empty: true, pen: null }),
  mounted() {
    this.last = null; // where the pen was, per pointer
    this.sent = 0; // numbers of drawings
    this.shown = 0;
    this.waiting = false;
    this.heard = (event) => {
      this.shown = event.detail.n;
      if (this.waiting) this.send();
    };
    window.addEventListener("lenet5-shown", this.heard);
    window.lenet5Settled = () => this.sent > 0 && !this.waiting && this.shown === this.sent;
    this.resize();
    this.restore();
  },
  unmounted() {
    window.removeEventListener("lenet5-shown", this.heard);
  },
  methods: {
    resize() {
      const canvas = this.$refs.canvas;
      canvas.height = 3 * this.side;
      canvas.width = canvas.height * (this.wide ? this.longest : 1);
      this.empty = true;
    },
    // Strokes
    place(event) {
      const box = this.$refs.canvas.getBoundingClientRect();
      return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
    },
    stroke(from, to) {
      const canvas = this.$refs.canvas;
      const context = canvas.getContext("2d");
      context.lineWidth = PEN * canvas.height;
      context.lineCap = context.lineJoin = "round";
      context.strokeStyle = "black";
      context.beginPath();
      context.moveTo(from.x * canvas.width, from.y * canvas.height);
      context.lineTo(to.x * canvas.width, to.y * canvas.height);
      context.stroke();
      this.empty = false;
      this.changed(performance.now());
    },
    down(event) {
      if (event.button) return;
      this.$refs.canvas.focus({ preventScroll: true });
      this.pen = null;
      try {
        this.$refs.canvas.setPointerCapture(event.pointerId);
      } catch {} // a pointer that has gone already
      this.last = { id: event.pointerId, ...this.place(event) };
      this.stroke(this.last, this.last);
    },
    move(event) {
      if (!this.last || this.last.id !== event.pointerId) return;
      const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
      for (const each of events.length ? events : [event]) {
        const to = this.place(each);
        this.stroke(this.last, to);
        this.last = { id: event.pointerId, ...to };
      }
    },
    up(event) {
      if (this.last && this.last.id === event.pointerId) {
        this.last = null;
        this.keep();
      }
    },
    key(event) {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      const pen = this.pen || { x: 0.5, y: 0.25, down: false };
      if (step) {
        const aspect = this.wide ? this.longest : 1;
        const to = {
          x: Math.min(1, Math.max(0, pen.x + (step[0] * 0.04) / aspect)),
          y: Math.min(1, Math.max(0, pen.y + step[1] * 0.04)),
          down: pen.down,
        };
        if (pen.down) this.stroke(pen, to);
        this.pen = to;
      } else if (event.key === " ") {
        this.pen = { ...pen, down: !pen.down };
        if (this.pen.down) this.stroke(pen, pen);
        else this.keep();
      } else if (event.key === "Delete" || event.key === "Backspace") this.clear();
      else return;
      event.preventDefault();
    },
    // What the buttons do
    clear() {
      const canvas = this.$refs.canvas;
      canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
      this.empty = true;
      this.keep();
      this.changed(performance.now());
    },
    widen(wide) {
      this.wide = wide;
      this.resize();
      this.clear();
    },
    load(data, height, width) {
      const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
      const picture = new ImageData(width, height);
      for (let i = 0; i < bytes.length; i++) picture.data[4 * i + 3] = bytes[i];
      const small = document.createElement("canvas");
      [small.width, small.height] = [width, height];
      small.getContext("2d").putImageData(picture, 0, 0);
      const canvas = this.$refs.canvas;
      const context = canvas.getContext("2d");
      const scale = Math.min(canvas.width / width, canvas.height / height);
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.drawImage(small, (canvas.width - scale * width) / 2, (canvas.height - scale * height) / 2,
        scale * width, scale * height);
      this.empty = false;
      this.keep();
      this.changed(performance.now());
    },
    // What is sent
    changed(when) {
      this.since = this.waiting ? this.since : when;
      const busy = this.sent > this.shown && when - this.sentAt < PATIENCE;
      if (!this.waiting && !busy) requestAnimationFrame(() => this.send());
      this.waiting = true;
    },
    bytes() {
      const small = document.createElement("canvas");
      small.height = this.side;
      small.width = this.side * (this.wide ? this.longest : 1);
      const context = small.getContext("2d", { willReadFrequently: true });
      context.drawImage(this.$refs.canvas, 0, 0, small.width, small.height);
      const rgba = context.getImageData(0, 0, small.width, small.height).data;
      let text = "";
      for (let i = 3; i < rgba.length; i += 4) text += String.fromCharCode(rgba[i]);
      return btoa(text);
    },
    send() {
      if (!this.waiting) return;
      this.waiting = false;
      this.sentAt = performance.now();
      this.$emit("ink", { n: ++this.sent, t: this.since, wide: this.wide, data: this.bytes() });
    },
    // What survives a reload
    keep() {
      try {
        const drawing = this.empty ? null : this.$refs.canvas.toDataURL();
        sessionStorage.setItem(STORE, JSON.stringify({ wide: this.wide, drawing }));
      } catch {} // no storage, or none left: then it does not survive
    },
    restore() {
      let kept = {};
      try {
        kept = JSON.parse(sessionStorage.getItem(STORE)) || {};
      } catch {} // whatever is there is not ours
      if (kept.wide === true) {
        this.wide = true;
        this.resize();
      }
      if (typeof kept.drawing !== "string" || !kept.drawing.startsWith("data:image/png;base64,")) {
        this.changed(performance.now());
        return;
      }
      const picture = new Image();
      picture.onload = () => {
        const canvas = this.$refs.canvas;
        canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
        this.empty = false;
        this.changed(performance.now());
      };
      picture.onerror = () => this.changed(performance.now());
      picture.src = kept.drawing;
    },
  },
};
