// What the network makes of the drawing: its answer, every stage as pictures, and the unit under the pointer.
const GAP = 4; // pixels between maps
const HEIGHT = 12, WIDTH = 7; // of a target code

const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const signed = (value) => (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(2);

// Maps as grey pixels: the largest value black, as ink on paper.
function tile(values, first, width, height) {
  const picture = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    picture.data.fill(255 - values[first + i], 4 * i, 4 * i + 3);
    picture.data[4 * i + 3] = 255;
  }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}

export default {
  props: { anatomy: Object },
  template: `
    <div class="stages" :class="{ wide: reading && reading.wide }" ref="root">
      <section class="answer" aria-label="Answer">
        <div class="digit" data-testid="digit" role="status" aria-live="polite" :class="{ line: reading && reading.wide }">{{ digit }}</div>
        <div class="words">
          <div class="first">{{ words }}</div>
          <div class="second" data-testid="runner-up">{{ second }}</div>
          <div class="delay" v-if="delay !== null">{{ delay.toFixed(0) }} ms from stroke to picture</div>
        </div>
        <div class="bars" v-if="bars.length" role="list" :aria-label="kind + ' of each class'">
          <div v-for="bar in bars" :key="bar.digit" class="bar" role="listitem" :class="{ best: bar.best }"
            :aria-label="bar.name + ': ' + bar.text">
            <span class="name">{{ bar.name }}</span>
            <span class="track"><span class="fill" :style="{ width: bar.width + '%' }"></span></span>
            <span class="value">{{ bar.text }}</span>
          </div>
          <div class="unit">{{ unitOfBars }}</div>
        </div>
      </section>
      <section class="unit-panel" aria-label="The unit you point at">
        <div class="about" data-testid="unit" aria-live="polite">{{ about }}</div>
        <canvas ref="kernels" role="img" :aria-label="kernelLabel" v-show="kernelLabel"></canvas>
      </section>
      <section v-for="stage in shown" :key="stage.name" class="stage" :class="{ input: stage.name === 'input' }" :aria-label="stage.name">
        <h2>{{ stage.name }} <span>{{ stage.size }}</span></h2>
        <canvas :ref="(e) => (canvases[stage.name] = e)" :data-stage="stage.name" tabindex="0" role="application"
          aria-roledescription="feature maps" :aria-label="stage.label"
          @pointermove="point(stage.name, $event)" @pointerdown="point(stage.name, $event)" @pointerleave="leave"
          @keydown="key(stage.name, $event)"></canvas>
        <div v-if="stage.name === bitmapStage && codes.length" class="codes" data-testid="codes">
          <figure v-for="code in codes" :key="code.digit">
            <canvas :ref="(e) => drawCode(e, code.digit)" role="img" :aria-label="'target code of ' + named(code.digit)"></canvas>
            <figcaption>{{ code.text }}</figcaption>
          </figure>
        </div>
      </section>
      <footer>
        {{ anatomy.name }}, {{ anatomy.parameters.toLocaleString("en") }} parameters. Black is high, white is low.
        Point at a unit to see its receptive field and its kernels; on the keyboard: Tab to a stage, arrows, Page Up and Down.
      </footer>
    </div>`,
  data: () => ({ reading: null, failure: "", delay: null, unit: null, kernelLabel: "", width: 0 }),
  created() {
    this.canvases = {};
    this.places = {}; // stage -> how its maps lie on its canvas
    this.parts = Object.fromEntries(this.anatomy.stages.map((part) => [part.name, part]));
    for (const part of this.anatomy.stages) if (part.weights) part.levels = bytesOf(part.weights);
  },
  mounted() {
    this.observer = new ResizeObserver(() => {
      const width = this.$refs.root ? this.$refs.root.clientWidth : 0;
      if (width && width !== this.width) {
        this.width = width;
        this.$nextTick(this.draw);
      }
    });
    this.observer.observe(this.$refs.root);
  },
  unmounted() {
    this.observer.disconnect();
  },
  computed: {
    kind() {
      return this.anatomy.penalties ? "penalty" : "probability";
    },
    shown() {
      if (!this.reading) return [];
      // The outputs of one digit are the bars of the answer.
      const stages = this.reading.stages.filter((stage) => this.reading.wide || stage.name !== "output");
      return stages.map((stage) => {
        const [maps, height, width] = stage.shape;
        const size = height * width > 1 ? `${maps} × ${height} × ${width}` : `${maps} units`;
        const label = `${stage.name}: ${size}. Arrow keys choose a unit, Page Up and Page Down a map.`;
        return { ...stage, size: maps === 1 ? `${height} × ${width}` : size, label };
      });
    },
    bitmapStage() {
      if (!this.anatomy.codes.length) return null;
      const stages = this.anatomy.stages;
      return stages[stages.length - 2].name; // what the RBF units compare with their codes
    },
    digit() {
      if (this.failure || !this.reading || this.reading.blank) return "–";
      return this.reading.wide ? this.reading.text || "?" : this.named(this.reading.order[0]);
    },
    words() {
      if (this.failure) return this.failure;
      if (!this.reading || this.reading.blank) return "Draw a digit: every stroke is read at once.";
      if (this.reading.wide)
        return this.reading.found.length
          ? `${this.reading.found.length} digits found, sweeping the network across the line.`
          : "No digit found: no window is close to a code.";
      return `Read as ${this.named(this.reading.order[0])}${this.scored(this.reading.order[0])}.`;
    },
    second() {
      if (this.failure || !this.reading || this.reading.blank) return "";
      if (this.reading.wide) {
        const penalties = this.reading.found.map((each) => `${this.named(each.digit)}: ${each.penalty.toFixed(1)}`);
        return penalties.length ? `Penalties: ${penalties.join(", ")}.` : "";
      }
      return `Runner-up: ${this.named(this.reading.order[1])}${this.scored(this.reading.order[1])}.`;
    },
    bars() {
      const reading = this.reading;
      if (this.failure || !reading || !reading.outputs) return [];
      const penalties = this.anatomy.penalties;
      const values = penalties ? reading.outputs : reading.shares;
      const most = penalties ? Math.max(...values) : 1;
      return values.map((value, digit) => ({
        digit,
        name: this.named(digit),
        width: Math.max(0, (100 * value) / most),
        text: penalties ? value.toFixed(1) : (100 * value).toFixed(1) + " %",
        best: digit === reading.order[0],
      }));
    },
    unitOfBars() {
      return this.anatomy.penalties ? "penalty: squared distance of F6 from each code; the smallest wins" : "probability";
    },
    codes() {
      const reading = this.reading;
      if (!this.anatomy.codes.length || !reading || !reading.order) return [];
      return reading.order.slice(0, 3).map((digit) => ({
        digit,
        text: `code of ${this.named(digit)}: ${reading.outputs[digit].toFixed(1)}`,
      }));
    },
    about() {
      if (!this.unit || !this.reading) return "Point at a unit of any stage to see what it looks at.";
      const { stage, map, row, column } = this.unit;
      const part = this.parts[stage];
      const values = this.values(stage);
      const where = this.place(stage);
      const cell = where.height * where.width > 1 ? `, row ${row}, column ${column}` : "";
      const value = values ? signed(values.at(map, row, column)) : "";
      let text = `${stage}${where.maps > 1 ? (where.height * where.width > 1 ? ` map ${map}` : ` unit ${map}`) : ""}${cell}: ${value}.`;
      if (!part || stage === "input") return text;
      const [size, step, start] = part.field;
      const from = [start[0] + row * step[0], start[1] + column * step[1]];
      text += ` Sees ${size[0]} × ${size[1]} pixels of the input, from row ${from[0]}, column ${from[1]}.`;
      if (part.kind === "convolution") {
        const maps = part.channels.slice(part.starts[map], part.starts[map + 1]);
        const of = maps.length > 8 ? `${maps.length} maps` : `map${maps.length > 1 ? "s" : ""} ${maps.join(", ")}`;
        text += ` Fed by ${of} of ${part.below} through ${maps.length} kernel${maps.length > 1 ? "s" : ""} of ${part.kernel[0]} × ${part.kernel[1]}; bias ${signed(part.bias[map])}.`;
      } else if (part.coefficient)
        text += ` Sum of ${part.size} × ${part.size} units of ${part.below}, times ${signed(part.coefficient[map])}, bias ${signed(part.bias[map])}.`;
      else if (part.kind === "window") text += ` Made of ${part.size} × ${part.size} units of ${part.below}.`;
      else text += ` Connected to all of ${part.below}.`;
      return text;
    },
  },
  methods: {
    named(digit) {
      return this.anatomy.classes[digit];
    },
    scored(digit) {
      return this.anatomy.penalties
        ? `, penalty ${this.reading.outputs[digit].toFixed(1)}`
        : `, ${(100 * this.reading.shares[digit]).toFixed(1)} %`;
    },
    // Called by the server
    show(reading) {
      for (const stage of reading.stages) stage.bytes = bytesOf(stage.values);
      this.failure = "";
      this.reading = Object.freeze(reading);
      if (this.unit && !this.within(this.unit)) this.unit = null;
      this.$nextTick(() => {
        this.draw();
        this.finish(reading);
      });
    },
    fail(message, stamp) {
      this.failure = message;
      this.finish(stamp);
    },
    finish(stamp) {
      if (!stamp.n) return;
      this.delay = performance.now() - stamp.t;
      (window.lenet5Delays ||= []).push(this.delay);
      window.dispatchEvent(new CustomEvent("lenet5-shown", { detail: { n: stamp.n } }));
    },
    // Pictures
    values(name) {
      const stage = this.reading && this.reading.stages.find((each) => each.name === name);
      if (!stage) return null;
      const [, height, width] = stage.shape;
      const at = (map, row, column) =>
        stage.low + (stage.bytes[(map * height + row) * width + column] / 255) * (stage.high - stage.low);
      return { ...stage, at };
    },
    place(name) {
      const [maps, height, width] = this.values(name).shape;
      return { maps, height, width };
    },
    within({ stage, map, row, column }) {
      const values = this.values(stage);
      return values && map < values.shape[0] && row < values.shape[1] && column < values.shape[2];
    },
    // How maps lie on the canvas: how many side by side, and the screen pixels of a cell.
    layout(name) {
      const { maps, height, width } = this.place(name);
      const room = Math.max(200, this.width - 28);
      if (maps === HEIGHT * WIDTH && height === 1) {
        const scale = width === 1 ? 10 : Math.max(3, Math.min(8, Math.floor((room / width - GAP) / WIDTH)));
        return { bitmaps: Math.min(width, Math.floor((room + GAP) / (WIDTH * scale + GAP))), x: scale, y: scale };
      }
      if (height * width === 1) {
        const side = Math.max(9, Math.min(22, Math.floor(room / Math.min(maps, 60))));
        return { across: Math.min(maps, Math.floor(room / side)), x: side, y: side, gap: 0 };
      }
      if (height === 1) // vectors side by side, one for each window
        return { across: 1, x: Math.max(2, Math.min(24, Math.floor(room / width))), y: maps > 40 ? 2 : 14, gap: 0 };
      let [least, most] = name === "input" ? [160, 192] : height > 20 ? [80, 112] : height > 10 ? [70, 112] : [60, 84];
      if (width > 1.5 * height) least /= 2; // a line's maps are long enough
      for (let across = maps; across >= 1; across--) {
        if (maps % across) continue;
        const fits = Math.floor((room - GAP * (across - 1)) / (across * width));
        if (fits * height < least && across > 1) continue;
        const side = Math.max(1, Math.min(fits, Math.floor(most / height)));
        return { across, x: side, y: side, gap: GAP };
      }
    },
    // Where on its canvas a cell of a map lies, in screen pixels.
    corner(lay, where, map, row, column) {
      if (lay.bitmaps) {
        const [x, y] = [column % lay.bitmaps, Math.floor(column / lay.bitmaps)];
        return [
          x * (WIDTH * lay.x + GAP) + (map % WIDTH) * lay.x,
          y * (HEIGHT * lay.y + GAP) + Math.floor(map / WIDTH) * lay.y,
        ];
      }
      return [
        (map % lay.across) * (where.width * lay.x + lay.gap) + column * lay.x,
        Math.floor(map / lay.across) * (where.height * lay.y + lay.gap) + row * lay.y,
      ];
    },
    size(lay, where) {
      if (lay.bitmaps) {
        const down = Math.ceil(where.width / lay.bitmaps);
        return [lay.bitmaps * (WIDTH * lay.x + GAP) - GAP, down * (HEIGHT * lay.y + GAP) - GAP];
      }
      const down = Math.ceil(where.maps / lay.across);
      return [
        lay.across * (where.width * lay.x + lay.gap) - lay.gap,
        down * (where.height * lay.y + lay.gap) - lay.gap,
      ];
    },
    sized(canvas, width, height) {
      const dense = window.devicePixelRatio || 1;
      canvas.width = Math.round(width * dense);
      canvas.height = Math.round(height * dense);
      canvas.style.width = width + "px";
      canvas.style.height = height + "px";
      const context = canvas.getContext("2d");
      context.scale(dense, dense);
      context.imageSmoothingEnabled = false;
      return context;
    },
    draw() {
      if (!this.reading || !this.width) return;
      for (const stage of this.reading.stages) this.drawStage(stage.name);
      this.drawKernels();
    },
    drawStage(name) {
      const canvas = this.canvases[name];
      if (!canvas) return;
      const stage = this.values(name), where = this.place(name), lay = this.layout(name);
      this.places[name] = lay;
      const context = this.sized(canvas, ...this.size(lay, where));
      if (lay.bitmaps)
        for (let window = 0; window < where.width; window++) {
          const cells = Uint8Array.from({ length: where.maps }, (_, map) => stage.bytes[map * where.width + window]);
          const [x, y] = this.corner(lay, where, 0, 0, window);
          context.drawImage(tile(cells, 0, WIDTH, HEIGHT), x, y, WIDTH * lay.x, HEIGHT * lay.y);
        }
      else if (where.height === 1) {
        // Vectors in one picture: 120 small ones take ten times as long.
        const [wide, tall] = [lay.across * where.width, Math.ceil(where.maps / lay.across)];
        const cells = new Uint8Array(wide * tall);
        cells.set(stage.bytes);
        context.drawImage(tile(cells, 0, wide, tall), 0, 0, wide * lay.x, tall * lay.y);
      } else
        for (let map = 0; map < where.maps; map++) {
          const [x, y] = this.corner(lay, where, map, 0, 0);
          const picture = tile(stage.bytes, map * where.height * where.width, where.width, where.height);
          context.drawImage(picture, x, y, where.width * lay.x, where.height * lay.y);
        }
      if (name === "input" && this.reading.found && !this.failure) this.markDigits(context, lay);
      this.mark(context, name, lay, where);
    },
    markDigits(context, lay) {
      context.fillStyle = "#d55e00";
      context.font = "bold 18px sans-serif";
      context.textAlign = "center";
      for (const found of this.reading.found) context.fillText(this.named(found.digit), (found.column + 0.5) * lay.x, 18);
    },
    // The unit that is pointed at, and on other stages what it looks at.
    mark(context, name, lay, where) {
      const unit = this.unit;
      if (!unit || !this.within(unit)) return;
      const part = this.parts[unit.stage];
      context.lineWidth = 2;
      const frame = (map, row, column, height, width, colour) => {
        const [x, y] = this.corner(lay, where, map, row, column);
        context.strokeStyle = colour;
        context.strokeRect(x - 1, y - 1, width * lay.x + 2, height * lay.y + 2);
      };
      if (name === unit.stage) frame(unit.map, unit.row, unit.column, 1, 1, "#d55e00");
      else if (name === "input" && part) {
        const [size, step, start] = part.field;
        frame(0, start[0] + unit.row * step[0], start[1] + unit.column * step[1], size[0], size[1], "#d55e00");
      }
      if (part && name === part.below && name !== "input" && !lay.bitmaps) {
        if (part.kind === "convolution")
          for (const map of part.channels.slice(part.starts[unit.map], part.starts[unit.map + 1]))
            frame(map, unit.row * part.stride[0] - part.before[0], unit.column * part.stride[1] - part.before[1], part.kernel[0], part.kernel[1], "#0072b2");
        else if (part.kind === "window")
          frame(unit.map, unit.row * part.stride, unit.column * part.stride, part.size, part.size, "#0072b2");
      }
    },
    drawKernels() {
      const unit = this.unit, part = unit && this.parts[unit.stage];
      if (!part || part.kind !== "convolution" || !part.levels) {
        this.kernelLabel = "";
        return;
      }
      const [height, width] = part.kernel;
      const first = part.starts[unit.map], count = part.starts[unit.map + 1] - first;
      const scale = count > 8 ? 6 : 14, step = [width * scale + 8, height * scale + 18];
      const across = Math.max(1, Math.min(count, Math.floor((this.width - 24) / step[0])));
      const context = this.sized(this.$refs.kernels, across * step[0], Math.ceil(count / across) * step[1]);
      context.fillStyle = getComputedStyle(this.$refs.root).color;
      context.font = "11px sans-serif";
      for (let k = 0; k < count; k++) {
        const [x, y] = [(k % across) * step[0], Math.floor(k / across) * step[1]];
        context.fillText(part.below === "input" ? "input" : `${part.below} ${part.channels[first + k]}`, x, y + 10);
        context.drawImage(tile(part.levels, (first + k) * height * width, width, height), x, y + 14, width * scale, height * scale);
      }
      this.kernelLabel = `${count} kernels of ${unit.stage} ${unit.map}, weights within ±${part.bound.toFixed(2)}`;
    },
    drawCode(canvas, digit) {
      if (!canvas) return;
      const cells = Uint8Array.from(this.anatomy.codes[digit], (sign) => (sign === "#" ? 202 : 53)); // +-1 of +-1.7159
      this.sized(canvas, WIDTH * 10, HEIGHT * 10).drawImage(tile(cells, 0, WIDTH, HEIGHT), 0, 0, WIDTH * 10, HEIGHT * 10);
    },
    // Pointing
    point(name, event) {
      const canvas = this.canvases[name], lay = this.places[name];
      if (!lay) return;
      const where = this.place(name), box = canvas.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      let unit;
      if (lay.bitmaps) {
        const [wide, tall] = [WIDTH * lay.x + GAP, HEIGHT * lay.y + GAP];
        const [across, down] = [Math.floor(x / wide), Math.floor(y / tall)];
        const i = Math.min(HEIGHT - 1, Math.floor((y - down * tall) / lay.y));
        const j = Math.min(WIDTH - 1, Math.floor((x - across * wide) / lay.x));
        unit = { stage: name, map: j + WIDTH * i, row: 0, column: across + down * lay.bitmaps };
      } else {
        const [wide, tall] = [where.width * lay.x + lay.gap, where.height * lay.y + lay.gap];
        const [m, n] = [Math.floor(x / wide), Math.floor(y / tall)];
        if (m < 0 || m >= lay.across) return;
        unit = {
          stage: name, map: n * lay.across + m,
          row: Math.min(where.height - 1, Math.max(0, Math.floor((y - n * tall) / lay.y))),
          column: Math.min(where.width - 1, Math.max(0, Math.floor((x - m * wide) / lay.x))),
        };
      }
      if (unit.map < 0 || !this.within(unit)) return;
      this.choose(unit);
    },
    choose(unit) {
      const old = this.unit;
      if (old && ["stage", "map", "row", "column"].every((key) => old[key] === unit[key])) return;
      this.unit = unit;
      this.draw();
    },
    leave(event) {
      if (event.pointerType === "mouse") {
        this.unit = null;
        this.draw();
      }
    },
    key(name, event) {
      const move = {
        ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0],
        PageUp: [-1, 0, 0], PageDown: [1, 0, 0],
      }[event.key];
      if (event.key === "Escape") {
        this.unit = null;
        this.draw();
        return;
      }
      if (!move) return;
      event.preventDefault();
      const where = this.place(name);
      const unit = this.unit && this.unit.stage === name ? { ...this.unit }
        : { stage: name, map: 0, row: Math.floor(where.height / 2), column: Math.floor(where.width / 2) };
      // A vector's units lie in rows like cells.
      if (where.height * where.width === 1) unit.map += move[0] + move[1] * (this.places[name].across || WIDTH) + move[2];
      else {
        unit.map += move[0];
        unit.row += move[1];
        unit.column += move[2];
      }
      if (unit.map >= 0 && unit.row >= 0 && unit.column >= 0 && this.within(unit)) this.choose(unit);
    },
  },
};
