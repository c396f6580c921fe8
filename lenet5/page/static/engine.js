// Runs the network: the operations of lenet5/layers/operation.py on maps {count, height, width, data}. In a vector, each
// element is a map of one cell. For larger images, every layer has larger maps (section VII of the paper).
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const mapsOf = (count, height, width) => ({ count, height, width, data: new Float32Array(count * height * width) });

function framed(x, [top, left, bottom, right]) {
  if (!(top || left || bottom || right)) return x;
  const height = x.height + top + bottom, width = x.width + left + right, data = new x.data.constructor(x.count * height * width);
  for (let k = 0; k < x.count * x.height; k++)
    data.set(x.data.subarray(k * x.width, (k + 1) * x.width), (Math.floor(k / x.height) * height + top + (k % x.height)) * width + left);
  return { count: x.count, height, width, data };
}

// Sets each unit to each(data, index of its window's first cell, offsets of the window's cells), map by map and row by row.
function windows(x, { size, stride }, each) {
  const y = mapsOf(x.count, Math.floor((x.height - size) / stride) + 1, Math.floor((x.width - size) / stride) + 1);
  const cells = Array.from({ length: size * size }, (_, q) => Math.floor(q / size) * x.width + (q % size));
  for (let c = 0, at = 0; c < y.count; c++)
    for (let r = 0; r < y.height; r++)
      for (let s = 0; s < y.width; s++, at++)
        y.data[at] = each(x.data, (c * x.height + r * stride) * x.width + s * stride, cells);
  return y;
}

// Sets each unit o at each position p to each(vector at p, o).
function everywhere(x, units, each) {
  const y = mapsOf(units, x.height, x.width), positions = x.height * x.width, vector = new Float32Array(x.count);
  for (let p = 0; p < positions; p++) {
    for (let d = 0; d < x.count; d++) vector[d] = x.data[d * positions + p];
    for (let o = 0; o < units; o++) y.data[o * positions + p] = each(vector, o);
  }
  return y;
}

// Sets each cell to each(value, map, cell).
function overMaps(x, each) {
  const y = { ...x, data: new Float32Array(x.data.length) }, cells = x.height * x.width;
  for (let i = 0; i < y.data.length; i++) y.data[i] = each(x.data[i], Math.floor(i / cells), i);
  return y;
}

const SQUASHES = {
  tanh: ({ numbers: [amplitude, slope] }) => (v) => amplitude * Math.tanh(slope * v),
  sigmoid: () => (v) => 1 / (1 + Math.exp(-v)),
  relu: () => (v) => (v < 0 ? 0 : v),
  "leaky-relu": ({ numbers: [alpha] }) => (v) => (v > 0 ? v : alpha * v),
  elu: ({ numbers: [alpha] }) => (v) => (v > 0 ? v : alpha * Math.expm1(v)),
  prelu: ({ slopes }) => (v, c) => (v > 0 ? v : slopes[c] * v),
};

const OPERATIONS = {
  Convolution(x, op) {
    x = framed(x, op.frame);
    const [kh, kw] = op.kernel, [down, right] = op.stride;
    const y = mapsOf(op.bias.length, Math.floor((x.height - kh) / down) + 1, Math.floor((x.width - kw) / right) + 1);
    const cells = y.height * y.width;
    for (let o = 0; o < y.count; o++) {
      y.data.fill(op.bias[o], o * cells, (o + 1) * cells);
      for (const c of op.sources[o])
        for (let q = 0; q < kh * kw; q++) {
          const w = op.weight[(o * x.count + c) * kh * kw + q];
          for (let r = 0; r < y.height; r++) {
            const from = (c * x.height + r * down + Math.floor(q / kw)) * x.width + (q % kw);
            const to = (o * y.height + r) * y.width;
            for (let s = 0; s < y.width; s++) y.data[to + s] += w * x.data[from + s * right];
          }
        }
    }
    return y;
  },
  Pooling(x, op) {
    const n = op.size * op.size;
    const y = windows(x, op, (data, first, cells) => {
      let value = data[first];
      for (let q = 1; q < n; q++) {
        const cell = data[first + cells[q]];
        value = op.pooling === "max" ? Math.max(value, cell) : value + cell;
      }
      return op.pooling === "mean" ? value / n : value;
    });
    return op.scale ? overMaps(y, (v, c) => op.scale[c] * v + op.shift[c]) : y;
  },
  FullConnection: (x, op) =>
    everywhere(x, op.bias.length, (vector, o) => {
      let sum = op.bias[o];
      for (let d = 0, at = o * vector.length; d < vector.length; d++, at++) sum += op.weight[at] * vector[d];
      return sum;
    }),
  Distances: (x, op) =>
    everywhere(x, op.codes.length / x.count, (vector, i) => {
      let sum = 0;
      for (let d = 0, at = i * vector.length; d < vector.length; d++, at++) sum += (vector[d] - op.codes[at]) ** 2;
      return sum;
    }),
  Normalisation: (x, op) =>
    overMaps(x, (v, c) => (op.weight[c] * (v - op.mean[c])) / Math.sqrt(op.variance[c] + op.epsilon) + op.bias[c]),
  Squash: (x, op) => overMaps(x, SQUASHES[op.squash](op)),
  Padding: (x, op) => framed(x, op.frame),
  Copies(x, op) {
    const y = mapsOf(x.count * op.copies, x.height, x.width), cells = x.height * x.width;
    return overMaps(y, (_, c, i) => x.data[Math.floor(c / op.copies) * cells + (i % cells)]);
  },
  Flattening: (x) => ({ count: x.data.length, height: 1, width: 1, data: x.data }),
  Dropping: (x) => x,
};

// Decodes the page's network. Arrays are ranges [first, end) of a block of float32 values, or of their upper 16 bits.
function networkOf(data) {
  const { buffer } = bytesOf(data.block), words = () => Uint32Array.from(new Uint16Array(buffer), (half) => half << 16);
  const block = new Float32Array(data.halves ? words().buffer : buffer);
  const held = ([key, value]) => [key, value && value.block ? block.subarray(...value.block) : value];
  const arrays = (op) => Object.fromEntries(Object.entries(op).map(held));
  const net = { ...data, steps: data.steps.map(arrays), levels: block.subarray(...data.levels.block) };
  // Centres an image {height, width, channels, bytes} in the network's input.
  net.placed = ({ height, width, channels, bytes }) => {
    const [down, right] = [Math.max(0, net.field[0] - height), Math.max(0, net.field[1] - width)], [top, left] = [down >> 1, right >> 1];
    const frame = [top, left * channels, down - top, (right - left) * channels];
    const { data } = framed({ count: 1, height, width: width * channels, data: bytes }, frame);
    return { height: height + down, width: width + right, channels, bytes: data };
  };
  // Converts an image to the input of the first layer.
  net.input = (picture) => {
    const { height, width, channels, bytes } = net.placed(picture);
    const x = mapsOf(channels, height, width), cells = height * width;
    for (let i = 0; i < bytes.length; i++) x.data[(i % channels) * cells + Math.floor(i / channels)] = net.levels[bytes[i]];
    return x;
  };
  // Returns the outputs of all steps, in order.
  net.trace = (x) => net.steps.map((op) => (x = OPERATIONS[op.kind](x, op)));
  net.answer = (outputs) => {
    const scores = Array.from(outputs, (v) => (net.penalties ? -v : v)), most = Math.max(...scores);
    const powers = scores.map((v) => Math.exp(v - most)), total = powers.reduce((a, b) => a + b, 0);
    const order = scores.map((_, k) => k).sort((a, b) => scores[b] - scores[a] || a - b);
    return { outputs: Array.from(outputs), order, shares: powers.map((p) => p / total) };
  };
  // Finds the digits of a line: windows at least `gap` apart that maximise the sum of ("no digit" penalty - digit penalty).
  net.found = (last, { blank, reject, gap, column }) => {
    const positions = last.height * last.width, best = new Float64Array(positions + gap), windows = [];
    const of = (p) => Array.from({ length: last.count }, (_, k) => (k === blank ? Infinity : last.data[k * positions + p]));
    const least = Array.from({ length: positions }, (_, p) => Math.min(...of(p)));
    const none = (p) => (blank === null ? reject : last.data[blank * positions + p]);
    for (let p = 0; p < positions; p++) best[p + gap] = Math.max(best[p + gap - 1], best[p] + none(p) - least[p]);
    for (let p = positions - 1; p >= 0; )
      if (best[p + gap] > best[p + gap - 1]) {
        windows.unshift({ digit: of(p).indexOf(least[p]), penalty: least[p], column: column[0] + p * column[1] });
        p -= gap;
      } else p--;
    return windows;
  };
  return net;
}
