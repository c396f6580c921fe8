// Explanation of a unit's sum, steps through the stages, and mouse and keyboard control.
const formulaOf = ({ squash, numbers }) => {
  const [a, b] = numbers || [];
  const tanh = `${a === 1 ? "" : `${a} `}tanh(${b === 1 ? "a" : `${Number(b).toFixed(3)} a`})`;
  const below = `a, or ${squash === "elu" ? `${a} (exp(a) − 1)` : squash === "prelu" ? "α a" : `${a} a`} if a < 0`;
  return { tanh, sigmoid: "1 / (1 + exp(−a))", relu: "max(a, 0)" }[squash] || below;
};
// Explains what a stage computes, with the paper's equations.
function explained(part) {
  const ops = NET.steps.slice(part.first, part.steps.at(-1) + 1), op = NET.steps[part.main];
  const squash = ops.find((each) => each.kind === "Squash"), unsure = ops.some((each) => each.kind === "Dropping");
  const texts = {
    Convolution: () => {
      const counts = [...new Set(op.sources.map((maps) => maps.length))].sort((a, b) => a - b), one = part.shape[1] * part.shape[2] === 1;
      const table = op.table ? ` Each map is connected to ${counts.join(", ")} maps of ${part.below} by the connection table (Table I for C3).` : "";
      return `Convolution: each unit is the sum of ${op.kernel.join(" × ")} cells of ${part.below} times a kernel that ${one ? "covers the whole map" : "all units of a map share"}, plus a bias: a = b + Σ w x (section II.B).${table}`;
    },
    Pooling: () =>
      op.pooling === "sum"
        ? `Sub-sampling: the sum of ${op.size} × ${op.size} units, times a trainable coefficient, plus a bias: a = c Σ x + b (section II.B). This makes the exact position of a feature less important.`
        : `Pooling: the ${op.pooling === "max" ? "maximum" : "mean"} of ${op.size} × ${op.size} units. The paper's sub-sampling has a trainable coefficient and bias instead.`,
    FullConnection: () => `Full connection: a weighted sum of all units of ${part.below}, plus a bias: a = b + Σ w x (section II.B).`,
    Distances: () => `Radial basis functions: the squared distance of ${part.below} from the code of each class, y = Σ (x − w)² (eq. 7). The class with the smallest distance is the answer.`,
  };
  const squashed = squash ? ` The squashing function gives x = f(a) = ${formulaOf(squash)}${squash.squash === "tanh" ? " (eqs. 5 and 6)" : ""}.` : "";
  const norm = ops.some((each) => each.kind === "Normalisation") ? " Batch normalisation, which is not in the paper, comes before the squashing function." : "";
  return (op ? texts[op.kind]() : "") + norm + squashed + (unsure ? " In training, some units are dropped at random; here all units are used." : "");
}

// Draws a grid of cells, with their values if there are at most 49.
function grid(values, height, width, label, least = 0) {
  const bound = Math.max(least, ...values.map(Math.abs)) || 1, written = height * width <= 49, [x, y] = written ? [32, 17] : [9, 9];
  const canvas = make("canvas", { role: "img", ariaLabel: `${label}: ${written ? values.map((v) => v.toFixed(2)).join(" ") : several(values.length, "value")}` });
  const context = sized(canvas, width * x, height * y);
  context.drawImage(tile(values, height, width, -bound, bound), 0, 0, width * x, height * y);
  [context.font, context.textAlign, context.textBaseline] = ["11px system-ui, sans-serif", "center", "middle"];
  values.forEach((v, i) => {
    context.fillStyle = v > 0.1 * bound ? "white" : "black";
    if (written) context.fillText(v.toFixed(2).replace("-", "−"), ((i % width) + 0.5) * x, (Math.floor(i / width) + 0.5) * y);
  });
  return make("figure", {}, canvas, make("figcaption", {}, label));
}
const product = (...parts) => make("div", { className: "product" }, ...parts);

// Each function returns the elements that explain a unit's sum, its value before the squashing function, and a line of text.
const FORMED = {
  Convolution(op, x, { map, row, column }, part) {
    x = framed(x, op.frame);
    const [kh, kw] = op.kernel, sums = [], elements = [];
    for (const c of op.sources[map]) {
      const cells = Array.from({ length: kh * kw }, (_, q) => x.data[(c * x.height + row * op.stride[0] + Math.floor(q / kw)) * x.width + column * op.stride[1] + (q % kw)]);
      const first = (map * x.count + c) * kh * kw, kernel = Array.from(op.weight.subarray(first, first + kh * kw));
      sums.push(cells.reduce((total, v, q) => total + v * kernel[q], 0));
      const below = part.below === "input" && x.count === 1 ? "input" : `${part.below} ${c}`;
      elements.push(product(grid(cells, kh, kw, below), "×", grid(kernel, kh, kw, "kernel"), `= ${signed(sums.at(-1))}`));
    }
    const value = sums.reduce((a, b) => a + b, 0) + op.bias[map];
    return { elements, value, text: `${sums.map(signed).join(" ")} ${signed(op.bias[map])} (bias)` };
  },
  Pooling(op, x, { map, row, column }) {
    const cells = Array.from({ length: op.size ** 2 }, (_, q) => x.data[(map * x.height + row * op.stride + Math.floor(q / op.size)) * x.width + column * op.stride + (q % op.size)]);
    const sum = cells.reduce((a, b) => a + b, 0), plain = op.pooling === "max" ? Math.max(...cells) : op.pooling === "mean" ? sum / cells.length : sum;
    const text = `${op.pooling} ${signed(plain)}${op.scale ? ` × ${signed(op.scale[map])} (coefficient) ${signed(op.shift[map])} (bias)` : ""}`;
    return { elements: [product(grid(cells, op.size, op.size, "window"))], value: op.scale ? op.scale[map] * plain + op.shift[map] : plain, text };
  },
  FullConnection(op, x, { map, row, column }, part) {
    const positions = x.height * x.width, at = row * x.width + column;
    const terms = Array.from({ length: x.count }, (_, d) => ({ d, x: x.data[d * positions + at], w: op.weight[map * x.count + d] }));
    terms.sort((a, b) => Math.abs(b.x * b.w) - Math.abs(a.x * a.w));
    const elements = terms.slice(0, 12).map(({ d, x, w }) => make("div", {}, `${part.below} ${d}: ${signed(x)} × ${signed(w)} = ${signed(x * w)}`));
    const sum = (some) => some.reduce((total, each) => total + each.x * each.w, 0), rest = terms.slice(12);
    if (rest.length) elements.push(make("div", {}, `${several(rest.length, "smaller product")}: ${signed(sum(rest))}`));
    return { elements, value: sum(terms) + op.bias[map], text: `${signed(sum(terms))} ${signed(op.bias[map])} (bias)` };
  },
  Distances(op, x, { map, row, column }, part) {
    const positions = x.height * x.width, at = row * x.width + column;
    const cells = Array.from({ length: x.count }, (_, d) => x.data[d * positions + at]), code = Array.from(op.codes.subarray(map * x.count, (map + 1) * x.count));
    const squares = cells.map((v, d) => (v - code[d]) ** 2), shape = x.count === 84 ? CODE : [1, x.count];
    const elements = [product(grid(cells, ...shape, part.below, 1.7159), "−", grid(code, ...shape, `code of ${named(map)}`, 1.7159), "squared:", grid(squares, ...shape, "(x − w)²", 1))];
    return { elements, value: squares.reduce((a, b) => a + b, 0), text: `sum of ${squares.length} squares` };
  },
};

// Fills the panel that explains the selected unit.
function drawUnit() {
  const about = $(".about"), sum = $(".sum");
  if (!unit) {
    about.textContent = "Point at a unit of any stage to see its receptive field and how its sum is formed. Click to keep it selected.";
    return sum.replaceChildren();
  }
  const { stage, map, row, column } = unit, maps = mapsAt(stage), part = PARTS[stage], area = maps.height * maps.width > 1;
  let text = `${stage}${maps.count > 1 ? (area ? ` map ${map}` : ` unit ${map}`) : ""}${area ? `, row ${row}, column ${column}` : ""}: ${signed(cellAt(maps, unit))}.`;
  if (!part) {
    sum.replaceChildren();
    return (about.textContent = `${text} Grey level ${reading.picture.bytes[(row * maps.width + column) * maps.count + map]} of 255, scaled for the network.`);
  }
  const [size, move, start] = part.field, op = NET.steps[part.main];
  text += ` Sees ${size[0]} × ${size[1]} pixels of the input, from row ${start[0] + row * move[0]}, column ${start[1] + column * move[1]}.`;
  if (op && op.kind === "Convolution") {
    const sources = op.sources[map], of = sources.length > 8 ? `${sources.length} maps` : `map${sources.length > 1 ? "s" : ""} ${sources.join(", ")}`;
    text += ` Fed by ${of} of ${part.below} through ${several(sources.length, "kernel")} of ${op.kernel[0]} × ${op.kernel[1]}.`;
  } else if (op && op.kind === "Pooling") text += ` ${{ sum: "Sum", mean: "Mean", max: "Maximum" }[op.pooling]} of ${op.size} × ${op.size} units of ${part.below}.`;
  else if (op) text += ` Connected to all units of ${part.below}.`;
  about.textContent = text;
  // Padding after the operation shifts its units.
  const frames = NET.steps.slice(part.main + 1, part.steps.at(-1) + 1).filter((each) => each.kind === "Padding");
  const place = frames.reduce((at, { frame }) => ({ ...at, row: at.row - frame[0], column: at.column - frame[1] }), unit);
  const made = op && reading.trace[part.main];
  if (!op || place.row < 0 || place.column < 0 || place.row >= made.height || place.column >= made.width) return sum.replaceChildren();
  const x = part.main ? reading.trace[part.main - 1] : reading.x, formed = FORMED[op.kind](op, x, place, part);
  let total = `${op.kind === "Distances" ? "y" : "a"} = ${formed.text} = ${signed(formed.value)}`;
  NET.steps.slice(part.main + 1, part.steps.at(-1) + 1).forEach((each, k) => {
    const value = cellAt(reading.trace[part.main + 1 + k], each.kind === "Padding" ? unit : place);
    if (each.kind === "Normalisation") total += `; normalised: a = ${signed(value)}`;
    if (each.kind === "Squash") total += `; x = ${formulaOf(each)} = ${signed(value)}`;
  });
  sum.replaceChildren(...formed.elements, make("div", { className: "total" }, total));
}

// Selection of units, and steps through the stages
function choose(next, hold = pinned) {
  if (next && !within(next)) return;
  pinned = hold && next !== null;
  const same = next && unit && ["stage", "map", "row", "column"].every((key) => unit[key] === next[key]);
  unit = next;
  if (!same && reading) draw();
}
function unitUnder(name, event) {
  const maps = mapsAt(name), lay = LAYS[name], box = CANVASES[name].getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top], bound = (v, most) => Math.min(most - 1, Math.max(0, Math.floor(v)));
  if (lay.bitmaps) {
    const [across, down] = [Math.floor(x / (CODE[1] * lay.x + GAP)), Math.floor(y / (CODE[0] * lay.y + GAP))];
    const [i, j] = [bound((y - down * (CODE[0] * lay.y + GAP)) / lay.y, CODE[0]), bound((x - across * (CODE[1] * lay.x + GAP)) / lay.x, CODE[1])];
    return { stage: name, map: j + CODE[1] * i, row: 0, column: across + down * lay.bitmaps };
  }
  const [w, h] = [maps.width * lay.x + lay.gap, maps.height * lay.y + lay.gap], [m, n] = [bound(x / w, lay.across), Math.floor(y / h)];
  return { stage: name, map: n * lay.across + m, row: bound((y - n * h) / lay.y, maps.height), column: bound((x - m * w) / lay.x, maps.width) };
}
function keyOnStage(name, event) {
  const move = { ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1], ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0], PageUp: [-1, 0, 0], PageDown: [1, 0, 0] }[event.key];
  if (event.key === "Escape") return choose(null);
  if (!move || !reading) return;
  event.preventDefault();
  const { height, width } = mapsAt(name), next = unit && unit.stage === name ? { ...unit } : middle(name);
  const across = LAYS[name].across || CODE[1]; // the units of a vector are laid out in rows
  if (height * width === 1) next.map += move[0] + move[1] * across + move[2];
  else [next.map, next.row, next.column] = [next.map + move[0], next.row + move[1], next.column + move[2]];
  choose(next, true);
}
const middle = (name) => ({ stage: name, map: 0, row: mapsAt(name).height >> 1, column: mapsAt(name).width >> 1 });
function walk(to) {
  step = to < 0 || to >= STAGES.length ? -1 : to;
  const name = STAGES[step], part = PARTS[name];
  for (const each of document.querySelectorAll(".stage")) {
    each.classList.toggle("current", each.dataset.name === name);
    each.classList.toggle("feeding", Boolean(part) && each.dataset.name === part.below);
  }
  $(".stages").classList.toggle("stepping", step >= 0);
  $(".steps span").textContent = step < 0 ? "Step through the stages, from the input to the answer." : `Stage ${step + 1} of ${STAGES.length}: ${name}`;
  if (part) CANVASES[name].parentElement.append($(".unit-panel")); // next to the stage that it explains
  else $(".steps").after($(".unit-panel"));
  if (step < 0) return choose(null);
  const best = part && step === STAGES.length - 1 && reading.order ? { ...middle(name), map: reading.order[0] } : middle(name);
  choose(best, true);
  CANVASES[name].parentElement.scrollIntoView({ block: "nearest" });
}

function wire() {
  const level = (k) => NET.levels[k].toFixed(3).replace("-", "−");
  $(".stages").append(
    ...STAGES.map((name) => {
      const part = PARTS[name], [count, height, width] = part ? part.shape : [NET.channels, ...NET.field];
      const size = height * width === 1 ? several(count, "unit") : count > 1 ? `${count} × ${height} × ${width}` : `${height} × ${width}`;
      const label = `${name}: ${size}. Arrow keys select a unit, Page Up and Page Down select a map, Escape clears the selection.`;
      const canvas = (CANVASES[name] = make("canvas", { tabIndex: 0, role: "application", ariaLabel: label, ariaRoleDescription: "feature maps" }));
      canvas.dataset.stage = name;
      canvas.onpointermove = (event) => pinned || !reading || choose(unitUnder(name, event));
      canvas.onpointerdown = (event) => reading && choose(unitUnder(name, event), !pinned || event.pointerType !== "mouse");
      canvas.onpointerleave = (event) => pinned || event.pointerType !== "mouse" || choose(null);
      canvas.onkeydown = (event) => keyOnStage(name, event);
      const why = part ? explained(part) : `${NET.channels > 1 ? "Levels of each colour" : "Grey levels"} scaled for the network: 0 becomes ${level(0)}, 255 becomes ${level(255)}${level(0) === "−0.100" ? " (section II.B)" : ""}.`;
      const codes = name === NET.bitmaps ? [make("div", { className: "codes" })] : [];
      codes.forEach((each) => (each.dataset.testid = "codes"));
      const section = make("section", { className: name === "input" ? "stage input" : "stage", ariaLabel: name }, make("h2", {}, `${name} `, make("span", {}, size)), canvas, ...codes, make("p", { className: "why" }, why));
      section.dataset.name = name;
      return section;
    }),
    $("footer"),
  );
  $("footer").textContent = `${NET.name}, ${NET.parameters.toLocaleString("en")} parameters. ${NET.notes} ${LINE === ONE ? "" : "Lines of digits are read with separate weights, trained on digits with neighbours. "}Black is high, white is low. This page is one file and makes no requests.`;
  pad.onpointerdown = (event) => {
    if (event.button) return;
    event.preventDefault();
    pad.focus({ preventScroll: true });
    [pen.hidden, hand] = [true, null];
    if (event.isTrusted) pad.setPointerCapture(event.pointerId);
    held = { id: event.pointerId, ...placeOf(event) };
    stroke(held, held);
  };
  const placeOf = (event) => {
    const box = pad.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  };
  pad.onpointermove = (event) => {
    if (!held || held.id !== event.pointerId) return;
    const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const each of events.length ? events : [event]) {
      const to = { id: event.pointerId, ...placeOf(each) };
      stroke(held, to);
      held = to;
    }
  };
  pad.onpointerup = pad.onpointercancel = () => (held && keep(), (held = null));
  pad.onkeydown = (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key], from = hand || { x: 0.5, y: 0.25, down: false };
    if (move) {
      const bound = (v) => Math.min(1, Math.max(0, v));
      hand = { x: bound(from.x + (move[0] * 0.04) / (wide ? LONGEST : 1)), y: bound(from.y + move[1] * 0.04), down: from.down };
      if (from.down) stroke(from, hand);
    } else if (event.key === " ") {
      hand = { ...from, down: !from.down };
      if (hand.down) stroke(hand, hand);
      else keep();
    } else if (event.key === "Delete" || event.key === "Backspace") $("#clear").click();
    else return;
    event.preventDefault();
    if (!hand) return;
    pen.hidden = false;
    pen.classList.toggle("down", hand.down);
    [pen.style.left, pen.style.top] = [hand.x * 100 + "%", hand.y * 100 + "%"];
  };
  pad.onblur = () => ([pen.hidden, hand] = [true, null]);
  const again = (now = wide) => (cleared(now), keep(), changedAt(performance.now()));
  $("#clear").onclick = () => again();
  $("#line").onchange = (event) => again(event.target.checked);
  [$("#line").disabled, $("#thickness").disabled] = [!LINE.sweeps, !NET.digits];
  $(".switch").title = LINE.sweeps ? "" : "Needs a network with RBF units and without a fixed input size, like the paper's.";
  $(".pad").classList.toggle("coloured", NET.channels > 1);
  $("#colour").hidden = NET.channels === 1;
  $("#open input").onchange = (event) => event.target.files[0] && opened(event.target.files[0]);
  document.onpaste = (event) => event.clipboardData.files[0] && opened(event.clipboardData.files[0]);
  document.ondragover = document.ondragleave = document.ondrop = (event) => {
    event.preventDefault();
    $(".pad").classList.toggle("over", event.type === "dragover");
    if (event.type === "drop" && event.dataTransfer.files[0]) opened(event.dataTransfer.files[0]);
  };
  $("#next").onclick = () => walk(step + 1);
  $("#back").onclick = () => walk(step < 0 ? STAGES.length - 1 : step - 1);
  const write = {
    rotation: (v) => (v ? `${v > 0 ? "+" : "−"}${Math.abs(v)}°` : "0°"),
    noise: (v) => `${Math.round(100 * v)}% of the pixels inverted`,
    thickness: (v) => (v ? `${v > 0 ? "+" : "−"}${Math.abs(v)}` : "as drawn"),
  };
  for (const [name, text] of Object.entries(write))
    ($("#" + name).oninput = () => {
      $("#" + name).previousElementSibling.lastElementChild.textContent = text(slider(name));
      changedAt(performance.now());
    })();
  $("#reset").onclick = () => Object.keys(write).forEach((name) => (($("#" + name).value = 0), $("#" + name).oninput()));
  examples();
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
  root.dataset.theme = dark.matches ? "dark" : "light";
  dark.onchange = () => (root.dataset.theme = dark.matches ? "dark" : "light");
  $("#theme").onclick = () => (root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark");
  new ResizeObserver(() => room === (room = $(".stages").clientWidth) || draw()).observe($(".stages"));
}
// Shows example images of the page's data set: a random one, or one that is misread.
function examples() {
  const { images, shape, labels, answers, name, wrong } = NET.examples, [height, width, channels = 1] = shape, cells = height * width * channels;
  const bytes = bytesOf(images), of = (k) => ({ height, width, channels, bytes: bytes.subarray(k * cells, (k + 1) * cells) });
  const right = labels.map((_, k) => k).filter((k) => labels[k] === answers[k]), any = () => of(right[Math.floor(Math.random() * right.length)]);
  $("#random").textContent = `Random from ${name}`;
  $("#random").hidden = !right.length;
  $("#random").onclick = () => {
    if (!wide) return show(any());
    const four = [0, 1, 2, 3].map(() => cropped(planeOf(height, width, Float32Array.from(any().bytes)))), room = 10;
    const long = four.reduce((total, ink) => total + ink.width + room, 0), line = laid(planeOf(0, 0), height, long, 0, 0);
    four.reduce((at, ink) => (laid(ink, height, long, (height - ink.height) >> 1, at, line.bytes), at + ink.width + room), room / 2);
    put(line);
    changedAt(performance.now());
  };
  const misread = labels.map((_, k) => k).filter((k) => labels[k] !== answers[k]);
  $("#wrong").hidden = !misread.length;
  $("#wrong span").textContent = `${wrong} of ${NET.examples.of.toLocaleString("en")} images of ${name}`;
  $("#wrong .examples").replaceChildren(
    ...misread.map((k) => {
      const picture = of(k), canvas = tile(picture.bytes, height, width, ...(NET.light ? [255, 0] : [0, 255]), channels === 3 ? picture.bytes : null);
      return make("button", { type: "button", ariaLabel: `${named(labels[k])}, read as ${named(answers[k])}`, onclick: () => (wide && cleared(false), show(picture)) }, canvas, `${named(labels[k])} → ${named(answers[k])}`);
    }),
  );
}

wire();
restore();
// For tests and other pages: `outputs` runs the network on an image's bytes; `lenet5Settled` tells whether the drawing has been read.
window.lenet5 = { outputs: (bytes) => Array.from(NET.trace(NET.input({ height: NET.shape[0], width: NET.shape[1], channels: NET.channels, bytes })).at(-1).data) };
window.lenet5Settled = () => since === null && !waiting;
