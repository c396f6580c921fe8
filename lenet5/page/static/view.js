// The view: drawing area, answer, and feature maps of every stage.
const DATA = JSON.parse(document.getElementById("network").textContent);
const ONE = networkOf(DATA), LINE = DATA.reader ? networkOf({ ...DATA, ...DATA.reader }) : ONE;
LINE.levels = ONE.levels;
let NET = ONE; // current network; lines can be read by a separate network with the same operations
const STORE = "lenet5-drawing", INK = 112, LONGEST = 4; // height of a drawing in pixels; width of a drawn line, relative to its height
const GAP = 4, CODE = [12, 7]; // pixels between maps; shape of a target code
const STAGES = ["input", ...NET.stages.map((stage) => stage.name)], PARTS = Object.fromEntries(NET.stages.map((s) => [s.name, s]));
const $ = (selector) => document.querySelector(selector);
const signed = (v) => (v < 0 ? "−" : "+") + Math.abs(v).toFixed(2);
const named = (k) => NET.classes[k];
const percent = (v) => (100 * v).toFixed(1) + " %", several = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes))
    if (/^aria|^role$/.test(key)) element.setAttribute(key.replace(/^aria/, "aria-").toLowerCase(), value);
    else element[key] = value;
  element.append(...children);
  return element;
}

// The drawing area. `shown` is an image that is read unchanged until something is drawn.
const pad = $("#pad"), pen = $(".pen");
let wide = false, empty = true, shown = null, held = null, hand = null;
function sized(canvas, width, height, dense = window.devicePixelRatio || 1) {
  [canvas.width, canvas.height] = [Math.round(width * dense), Math.round(height * dense)];
  [canvas.style.width, canvas.style.height] = [width + "px", height + "px"];
  const context = canvas.getContext("2d");
  context.scale(dense, dense);
  context.imageSmoothingEnabled = false;
  return context;
}
function cleared(now = wide) {
  [wide, empty, shown, NET] = [now, true, null, now ? LINE : ONE];
  [pad.height, pad.width] = [3 * INK, 3 * INK * (wide ? LONGEST : 1)];
  pad.getContext("2d", { willReadFrequently: true });
  $(".pad").classList.toggle("wide", wide);
  $("#line").checked = wide;
  $("#rotation").disabled = wide;
  $(".hint").textContent = wide ? "draw some digits side by side" : NET.word === "digit" ? "draw a digit here" : "draw here, or open a picture";
}
function stroke(from, to) {
  const context = pad.getContext("2d");
  [context.lineWidth, context.lineCap, context.lineJoin] = [pad.height / 12, "round", "round"];
  context.strokeStyle = NET.channels > 1 ? $("#colour input").value : "black";
  context.stroke(new Path2D(`M${from.x * pad.width} ${from.y * pad.height}L${to.x * pad.width} ${to.y * pad.height}`));
  [empty, shown] = [false, null];
  changedAt(performance.now());
}
function pixels() {
  const context = make("canvas", { width: INK * (wide ? LONGEST : 1), height: INK }).getContext("2d", { willReadFrequently: true });
  context.drawImage(pad, 0, 0, context.canvas.width, INK);
  return context.getImageData(0, 0, context.canvas.width, INK);
}
function inkOnPad() {
  const { width, height, data } = pixels(), ink = planeOf(height, width);
  for (let i = 0; i < ink.data.length; i++) ink.data[i] = data[4 * i + 3];
  return ink;
}
// Puts an image on the drawing area: its ink, or the image itself if it is in colour.
function put({ height, width, channels, bytes }) {
  const picture = new ImageData(width, height);
  for (let i = 0; i < width * height; i++)
    if (channels > 1) picture.data.set([bytes[3 * i], bytes[3 * i + 1], bytes[3 * i + 2], 255], 4 * i);
    else picture.data[4 * i + 3] = NET.light ? 255 - bytes[i] : bytes[i];
  const small = make("canvas", { width, height });
  small.getContext("2d").putImageData(picture, 0, 0);
  cleared();
  const scale = Math.min(pad.width / width, pad.height / height);
  pad.getContext("2d").drawImage(small, (pad.width - scale * width) / 2, (pad.height - scale * height) / 2, scale * width, scale * height);
  empty = false;
  keep();
}
const show = (picture) => (put(picture), (shown = picture), changedAt(performance.now()));
// Opens an image from a file, the clipboard or another window.
async function opened(file) {
  try {
    const image = await createImageBitmap(file), factor = Math.min(1, 400 / Math.sqrt(image.width * image.height));
    const canvas = make("canvas", { width: Math.max(1, Math.round(image.width * factor)), height: Math.max(1, Math.round(image.height * factor)) });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    const drawnOn = (paper) => {
      context.fillStyle = paper;
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(image, 0, 0, canvas.width, canvas.height);
      return context.getImageData(0, 0, canvas.width, canvas.height);
    };
    if (!NET.digits) return show(scaledInto(drawnOn("white"), NET.shape));
    let found = inkOf(drawnOn("white"));
    if (!largest(found.ink.data)) found = inkOf(drawnOn("black")); // white ink on a transparent background
    const ink = cropped(found.ink, found.noise);
    if (sideBySide(ink) && LINE.sweeps && !wide) cleared(true);
    const width = INK * (wide ? LONGEST : 1), scale = 0.8 * Math.min(INK / ink.height, width / ink.width);
    const small = resized(ink, Math.max(1, Math.round(ink.height * scale)), Math.max(1, Math.round(ink.width * scale)));
    put(laid(small, INK, width, (INK - small.height) >> 1, (width - small.width) >> 1));
    changedAt(performance.now());
  } catch (error) {
    failed(file && !/^image\//.test(file.type) ? "This file is not a picture: open a PNG, JPEG, GIF or WebP file." : error.message);
  }
}

// State that is kept when the page is reloaded
function keep() {
  try {
    sessionStorage.setItem(STORE, JSON.stringify({ wide, drawing: empty ? null : pad.toDataURL() }));
  } catch {} // storage is unavailable or full: nothing is kept
}
function restore() {
  let kept = null;
  try {
    kept = JSON.parse(sessionStorage.getItem(STORE));
  } catch {} // not written by this page
  kept ||= {};
  cleared(kept.wide === true && LINE.sweeps);
  changedAt(performance.now());
  if (typeof kept.drawing !== "string" || !kept.drawing.startsWith("data:image/png;base64,")) return;
  const picture = new Image();
  picture.onload = () => {
    pad.getContext("2d").drawImage(picture, 0, 0, pad.width, pad.height);
    empty = false;
    changedAt(performance.now());
  };
  picture.src = kept.drawing;
}

// Reads the drawing immediately, and again in the next frame if there were more changes.
let since = null, waiting = false, reading = null, failure = "";
function changedAt(when) {
  since ??= when;
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => ((waiting = false), since === null || read()));
  read();
}
const slider = (name) => Number($("#" + name).value);
function pictureOnPad() {
  if (shown && !(NET.digits && slider("thickness"))) return shown;
  if (!NET.digits) {
    const drawing = pixels();
    for (let i = 0; i < drawing.data.length; i += 4) {
      const alpha = drawing.data[i + 3] / 255, paper = NET.channels > 1 || NET.light ? 255 : 0, ink = NET.light ? 0 : 255;
      for (let c = 0; c < 3; c++) drawing.data[i + c] = paper + alpha * ((NET.channels > 1 ? drawing.data[i + c] : ink) - paper);
    }
    return scaledInto(drawing, NET.shape);
  }
  if (empty) return laid(planeOf(0, 0), SIDE, SIDE * (wide ? LONGEST : 1), 0, 0);
  const ink = thickened(inkOnPad(), slider("thickness"));
  if (!largest(ink.data)) throw new Error("The strokes are too thin: move the thickness slider to the right.");
  return (wide ? lineOf : digitOf)(ink);
}
const failed = (message) => ((failure = message), drawAnswer(), finished());
function read() {
  try {
    const picture = changed(NET.placed(pictureOnPad()), wide ? 0 : slider("rotation"), slider("noise"));
    const x = NET.input(picture), trace = NET.trace(x), last = trace.at(-1);
    reading = { picture, x, trace, wide, blank: empty && !shown };
    if (!reading.blank) Object.assign(reading, wide ? { found: NET.found(last, NET.line) } : NET.answer(last.data));
  } catch (error) {
    return failed(error.message);
  }
  failure = "";
  if (unit && !within(unit)) unit = null;
  $(".stages").classList.toggle("wide", wide);
  drawAnswer();
  draw();
  finished();
}
function finished() {
  if (since === null) return;
  const delay = performance.now() - since;
  since = null;
  (window.lenet5Delays ||= []).push(delay);
  $(".delay").textContent = `${delay.toFixed(1)} ms from stroke to result`;
}

// The answer
function drawAnswer() {
  $(".hint").hidden = !empty;
  const { blank, order, outputs, shares, found } = reading || { blank: true };
  const scored = (k) => (NET.penalties ? `, penalty ${outputs[k].toFixed(1)}` : `, ${percent(shares[k])}`);
  const digit = $(".digit"), none = failure || blank;
  digit.textContent = none ? "–" : found ? found.map((each) => named(each.digit)).join("") || "?" : named(order[0]);
  digit.classList.toggle("line", wide);
  digit.classList.toggle("word", !wide && digit.textContent.length > 2);
  const hint = NET.word === "digit" ? "Draw a digit: it is read as you draw." : "Draw or open a picture: it is read immediately.";
  const line = found && (found.length ? `${several(found.length, "digit")} found by sweeping the network across the line.` : "No digit found in any window.");
  $(".words .first").textContent = failure || (blank ? hint : line || `Read as ${named(order[0])}${scored(order[0])}.`);
  const penalties = found && found.map((each) => `${named(each.digit)}: ${each.penalty.toFixed(1)}`).join(", ");
  $(".words .second").textContent = none ? "" : found ? penalties && `Penalties: ${penalties}.` : order.length > 1 ? `Runner-up: ${named(order[1])}${scored(order[1])}.` : "";
  const values = none || found ? [] : NET.penalties ? outputs : shares, most = NET.penalties ? Math.max(...values) : 1;
  const every = values.length > 20 ? order.slice(0, 12) : values.map((_, k) => k);
  $(".bars").setAttribute("aria-label", NET.penalties ? "Penalty of each class" : "Probability of each class");
  const bars = every.map((k) => {
    const text = NET.penalties ? values[k].toFixed(1) : percent(values[k]), fill = make("span", { className: "fill" });
    fill.style.width = (100 * values[k]) / most + "%";
    const parts = [make("span", { className: "name" }, named(k)), make("span", {}, fill), make("span", { className: "value" }, text)];
    return make("div", { className: k === order[0] ? "bar best" : "bar", role: "listitem", ariaLabel: `${named(k)}: ${text}` }, ...parts);
  });
  const measure = NET.penalties ? "penalty: squared distance from each code (eq. 7); the smallest wins" : "probability";
  $(".bars").replaceChildren(...bars, ...(bars.length ? [make("div", { className: "soft", role: "listitem" }, measure)] : []));
}

// Feature maps of the stages
const CANVASES = {}, LAYS = {};
let unit = null, pinned = false, step = -1, room = 0;
const mapsAt = (name) => (name === "input" ? reading.x : reading.trace[PARTS[name].steps.at(-1)]);
const cellAt = (maps, { map, row, column }) => maps.data[(map * maps.height + row) * maps.width + column];
const within = ({ stage, map, row, column }) => {
  const { count, height, width } = mapsAt(stage);
  return map >= 0 && row >= 0 && column >= 0 && map < count && row < height && column < width;
};
// Draws values as grey pixels, from `low` (white) to `high` (black), like ink on paper.
function tile(values, height, width, low, high, colour = null) {
  const picture = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const grey = 255 - (255 * (values[i] - low)) / (high - low || 1);
    picture.data.set(colour ? [...colour.subarray(3 * i, 3 * i + 3), 255] : [grey, grey, grey, 255], 4 * i);
  }
  const canvas = make("canvas", { width, height });
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}
// Lays out the maps of a stage: `across` maps per row, cells of x by y pixels; vectors of 84 cells are drawn as bitmaps.
function layout(name) {
  const { count, height, width } = mapsAt(name), inner = room - 26;
  if (name === "input" && NET.channels === 3) return { across: 1, x: Math.max(2, Math.floor(160 / height)), y: Math.max(2, Math.floor(160 / height)), gap: 0, whole: true };
  if (name === NET.bitmaps && height === 1) {
    const scale = width === 1 ? 10 : Math.max(3, Math.min(8, Math.floor((inner / width - GAP) / CODE[1])));
    return { bitmaps: Math.max(1, Math.min(width, Math.floor((inner + GAP) / (CODE[1] * scale + GAP)))), x: scale, y: scale };
  }
  if (height * width === 1) {
    const side = Math.max(9, Math.min(22, Math.floor(inner / Math.min(count, 60))));
    return { across: Math.min(count, Math.floor(inner / side)), x: side, y: side, gap: 0 };
  }
  if (height === 1) return { across: 1, x: Math.max(2, Math.min(24, Math.floor(inner / width))), y: count > 40 ? 2 : 14, gap: 0 };
  let [least, most] = name === "input" ? [160, 192] : height > 20 ? [80, 112] : height > 10 ? [70, 112] : [60, 84];
  if (width > 1.5 * height) least /= 2; // the maps of a line are wide
  for (let across = count; ; across--) {
    const fits = Math.floor((inner - GAP * (across - 1)) / (across * width));
    if (across > 1 && (count % across || fits * height < least)) continue;
    const side = Math.max(1, Math.min(fits, Math.floor(most / height)));
    return { across, x: side, y: side, gap: GAP };
  }
}
// Returns the position of a cell on its canvas.
function corner(lay, { width, height }, map, row, column) {
  if (lay.bitmaps) {
    const [x, y] = [column % lay.bitmaps, Math.floor(column / lay.bitmaps)];
    return [x * (CODE[1] * lay.x + GAP) + (map % CODE[1]) * lay.x, y * (CODE[0] * lay.y + GAP) + Math.floor(map / CODE[1]) * lay.y];
  }
  const at = lay.whole ? 0 : map;
  return [(at % lay.across) * (width * lay.x + lay.gap) + column * lay.x, Math.floor(at / lay.across) * (height * lay.y + lay.gap) + row * lay.y];
}
function draw() {
  if (reading && room) STAGES.forEach(drawStage);
  if (reading) drawUnit();
}
function drawStage(name) {
  const maps = mapsAt(name), { count, height, width, data } = maps, lay = (LAYS[name] = layout(name));
  const down = lay.bitmaps ? Math.ceil(width / lay.bitmaps) : lay.whole ? 1 : Math.ceil(count / lay.across);
  const size = lay.bitmaps
    ? [lay.bitmaps * (CODE[1] * lay.x + GAP) - GAP, down * (CODE[0] * lay.y + GAP) - GAP]
    : [lay.across * (width * lay.x + lay.gap) - lay.gap, down * (height * lay.y + lay.gap) - lay.gap];
  const context = sized(CANVASES[name], ...size);
  let [low, high] = [Infinity, name === "input" ? 1.175 : 1.7159];
  for (const v of data) [low, high] = [v < low ? v : low, Math.abs(v) > high ? Math.abs(v) : high];
  if (name !== "input" && low < 0) low = -high;
  if (lay.bitmaps)
    for (let p = 0; p < width; p++) {
      const cells = Float32Array.from({ length: count }, (_, map) => data[map * width + p]);
      context.drawImage(tile(cells, ...CODE, low, high), ...corner(lay, maps, 0, 0, p), CODE[1] * lay.x, CODE[0] * lay.y);
    }
  else if (height === 1) {
    const cells = new Float32Array(down * lay.across * width).fill(low); // drawn as a single image; 120 small ones take ten times as long
    cells.set(data);
    context.drawImage(tile(cells, down, lay.across * width, low, high), 0, 0, lay.across * width * lay.x, down * lay.y);
  } else {
    const all = tile(data, (lay.whole ? 1 : count) * height, width, low, high, lay.whole ? reading.picture.bytes : null);
    for (let map = 0; map < (lay.whole ? 1 : count); map++)
      context.drawImage(all, 0, map * height, width, height, ...corner(lay, maps, map, 0, 0), width * lay.x, height * lay.y);
  }
  if (name === "input" && reading.found && !failure) {
    [context.fillStyle, context.font, context.textAlign] = ["#d55e00", "bold 18px sans-serif", "center"];
    for (const each of reading.found) context.fillText(named(each.digit), (each.column + 0.5) * lay.x, 18);
  }
  if (unit && within(unit)) mark(context, name, lay, maps);
  if (name === NET.bitmaps) drawCodes();
}
// Marks the selected unit, and its inputs in other stages.
function mark(context, name, lay, maps) {
  const frame = (map, row, column, height, width, colour) => {
    const [x, y] = corner(lay, maps, map, row, column);
    [context.lineWidth, context.strokeStyle] = [2, colour];
    context.strokeRect(x - 1, y - 1, width * lay.x + 2, height * lay.y + 2);
  };
  const part = PARTS[unit.stage];
  if (name === unit.stage) return frame(unit.map, unit.row, unit.column, 1, 1, "#d55e00");
  if (!part) return;
  const [size, move, start] = part.field, op = NET.steps[part.main];
  if (name === "input") frame(0, start[0] + unit.row * move[0], start[1] + unit.column * move[1], size[0], size[1], "#d55e00");
  if (name !== part.below || (name === "input" && NET.channels !== 1) || lay.bitmaps || !op) return;
  if (op.kind === "Convolution" && name !== "input")
    for (const map of op.sources[unit.map]) frame(map, unit.row * op.stride[0] - op.frame[0], unit.column * op.stride[1] - op.frame[1], ...op.kernel, "#0072b2");
  else if (op.kind === "Pooling") frame(sourceOf(part, unit.map), unit.row * op.stride, unit.column * op.stride, op.size, op.size, "#0072b2");
}
// Returns the index of the input map of a sub-sampling map. The indices differ if maps were copied.
const sourceOf = (part, map) => NET.steps.slice(part.first, part.main).reduce((at, op) => (op.kind === "Copies" ? Math.floor(at / op.copies) : at), map);
function drawCodes() {
  const codes = $(".codes"), op = NET.steps.at(-1);
  codes.replaceChildren(
    ...(!reading.order || failure ? [] : reading.order.slice(0, 3)).map((k) => {
      const cells = op.codes.subarray(k * 84, (k + 1) * 84), canvas = make("canvas", { role: "img", ariaLabel: `target code of ${named(k)}` });
      sized(canvas, CODE[1] * 10, CODE[0] * 10).drawImage(tile(cells, ...CODE, -1.7159, 1.7159), 0, 0, CODE[1] * 10, CODE[0] * 10);
      return make("figure", {}, canvas, make("figcaption", {}, `code of ${named(k)}: ${reading.outputs[k].toFixed(1)}`));
    }),
  );
}
