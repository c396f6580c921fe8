// Converts images to the format of the training images; the counterpart of lenet5/datasets/handwriting.py. A plane is
// {height, width, data}, with one value per pixel.
const SIDE = 28, BOX = 20; // as in MNIST: images are 28x28, digits up to 20x20
const LINE_HEIGHT = 22, LINE_MARGIN = 16, LONGEST_LINE = 480;
const planeOf = (height, width, data = new Float32Array(height * width)) => ({ height, width, data });
function largest(data) {
  let most = 0;
  for (let i = 0; i < data.length; i++) if (data[i] > most) most = data[i];
  return most;
}
const median = (values) => Float32Array.from(values).sort()[values.length >> 1] || 0;

// Bicubic weights of the old pixels for each new pixel. If the image shrinks, the kernel widens accordingly.
function taps(from, to) {
  const scale = Math.max(from / to, 1);
  const cubic = (t) => (t < 1 ? (1.5 * t - 2.5) * t * t + 1 : t < 2 ? ((2.5 - 0.5 * t) * t - 4) * t + 2 : 0);
  return Array.from({ length: to }, (_, i) => {
    const centre = ((i + 0.5) * from) / to;
    const first = Math.max(0, Math.floor(centre - 2 * scale + 0.5)), last = Math.min(from, Math.floor(centre + 2 * scale + 0.5));
    const weights = Array.from({ length: last - first }, (_, k) => cubic(Math.abs(first + k + 0.5 - centre) / scale));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((w) => w / sum) };
  });
}

function resized({ height, width, data }, tall, wide) {
  const across = taps(width, wide), down = taps(height, tall);
  const rows = planeOf(height, wide), out = planeOf(tall, wide);
  for (let r = 0; r < height; r++)
    for (let s = 0; s < wide; s++)
      across[s].weights.forEach((w, k) => (rows.data[r * wide + s] += w * data[r * width + across[s].first + k]));
  for (let r = 0; r < tall; r++)
    down[r].weights.forEach((w, k) => {
      for (let s = 0; s < wide; s++) out.data[r * wide + s] += w * rows.data[(down[r].first + k) * wide + s];
    });
  return { ...out, data: out.data.map((v) => Math.max(v, 0)) };
}

// Replaces each pixel by the maximum or minimum, `best`, within `radius`: first along rows, then along columns.
function filtered({ height, width, data }, radius, best) {
  const along = (source, step, at, length) => {
    let value = source[at];
    const place = Math.floor(at / step) % length;
    for (let k = -Math.min(radius, place); k <= Math.min(radius, length - 1 - place); k++) value = best(value, source[at + k * step]);
    return value;
  };
  const rows = data.map((_, i) => along(data, 1, i, width));
  return planeOf(height, width, rows.map((_, i) => along(rows, width, i, height)));
}
const thickened = (ink, pixels) => {
  const room = Math.abs(pixels), wide = ink.width + 2 * room, out = planeOf(ink.height + 2 * room, wide);
  for (let r = 0; r < ink.height; r++) out.data.set(ink.data.subarray(r * ink.width, (r + 1) * ink.width), (r + room) * wide + room);
  return pixels ? filtered(out, room, pixels > 0 ? Math.max : Math.min) : ink;
};

// Returns the ink of a plane, scaled to at most 1, without faint grey and specks, cropped to its bounding box.
function cropped({ height, width, data }, noise = 0) {
  const peak = largest(data), faint = Math.max(height, width) > SIDE ? 0.1 * peak : 0, least = Math.min(Math.max(noise, faint), 0.4 * peak);
  if (peak < Math.max(8, 1.5 * noise)) throw new Error("Nothing is drawn: no stroke stands out from the background.");
  const radius = Math.floor(Math.max(height, width) / 40), row = width + 1;
  const around = new Float32Array(data.length), sums = new Float64Array((height + 1) * row); // sums over all ink above and to the left
  for (let r = 0; r < height; r++)
    for (let s = 0, sum = 0; s < width; s++) {
      if (data[r * width + s] >= least) sum += data[r * width + s];
      sums[(r + 1) * row + s + 1] = sums[r * row + s + 1] + sum;
    }
  for (let r = 0; r < height; r++) {
    const up = Math.max(0, r - radius) * row, down = Math.min(height, r + radius + 1) * row;
    for (let s = 0; s < width; s++) {
      const left = Math.max(0, s - radius), right = Math.min(width, s + radius + 1);
      around[r * width + s] = sums[down + right] - sums[up + right] - sums[down + left] + sums[up + left];
    }
  }
  const lonely = radius ? 0.1 * largest(around) : 0;
  let top = height, bottom = -1, left = width, right = -1, most = 0;
  for (let r = 0; r < height; r++)
    for (let s = 0; s < width; s++) {
      if (data[r * width + s] < least || !(around[r * width + s] > lonely)) around[r * width + s] = 0;
      else [top, bottom, left, right, most] = [Math.min(top, r), r, Math.min(left, s), Math.max(right, s), Math.max(most, data[r * width + s])];
    }
  if (bottom < 0) throw new Error("Nothing is drawn: the picture shows specks, but no stroke.");
  const out = planeOf(bottom - top + 1, right - left + 1);
  for (let r = top, i = 0; r <= bottom; r++)
    for (let s = left; s <= right; s++, i++) if (around[r * width + s]) out.data[i] = data[r * width + s] / most;
  return out;
}

// Returns the number of characters side by side, or 0 for one.
function sideBySide({ height, width, data }) {
  if (Math.min(height, width) < BOX) return 0;
  const tall = [];
  for (let s = 0, start = -1, up = height, down = -1; s <= width; s++) {
    let inked = false;
    for (let r = 0; s < width && r < height; r++)
      if (data[r * width + s]) [inked, up, down] = [true, Math.min(up, r), Math.max(down, r)];
    if (inked && start < 0) start = s;
    if (inked || start < 0) continue;
    if (down - up + 1 >= 0.5 * height) tall.push([start, s]);
    [start, up, down] = [-1, height, -1];
  }
  const apart = tall.some((part, k) => k && part[0] - tall[k - 1][1] > 0.3 * height);
  return tall.length > 1 && (width > 1.15 * height || apart) ? tall.length : 0;
}

function fitted(ink, factor) {
  const out = resized(ink, Math.max(1, Math.round(ink.height * factor)), Math.max(1, Math.round(ink.width * factor)));
  const least = 0.1 * largest(out.data), drawn = out.data.filter((v) => v > least).sort();
  const place = 0.75 * (drawn.length - 1), low = Math.floor(place), next = drawn[Math.min(low + 1, drawn.length - 1)];
  const white = drawn[low] + (place - low) * (next - drawn[low]); // a quarter of MNIST's ink is white
  return { ...out, data: out.data.map((v) => Math.min(v / white, 1)) };
}

// Places ink, scaled to at most 1, in an image of the given shape.
function laid(ink, height, width, top, left, bytes = new Uint8Array(height * width)) {
  ink.data.forEach((v, i) => (bytes[(top + Math.floor(i / ink.width)) * width + left + (i % ink.width)] = Math.min(255, Math.round(255 * v))));
  return { height, width, channels: 1, bytes };
}

// Converts a digit to the format of MNIST: scaled to 20x20, centred by mass in 28x28.
function digitOf(plane, noise) {
  let ink = cropped(plane, noise);
  if (sideBySide(ink)) throw new Error('Several digits found: switch on "A line of digits" to read them.');
  const longest = Math.max(ink.height, ink.width), centre = [0, 0];
  if (longest < BOX - 1 || longest > BOX) ink = fitted(ink, BOX / longest);
  let total = 0;
  ink.data.forEach((v, i) => {
    const mass = Math.round(255 * v);
    [total, centre[0], centre[1]] = [total + mass, centre[0] + mass * Math.floor(i / ink.width), centre[1] + mass * (i % ink.width)];
  });
  const place = (side, k) => Math.min(Math.max(Math.round(SIDE / 2 - centre[k] / total), 0), SIDE - side);
  return laid(ink, SIDE, SIDE, place(ink.height, 0), place(ink.width, 1));
}

// Converts a line of digits to an image of 28 rows, 22 of them with ink, with 16 columns of paper before and after it.
function lineOf(plane, noise) {
  let ink = cropped(plane, noise);
  ink = fitted(ink, Math.min(LINE_HEIGHT / ink.height, LONGEST_LINE / ink.width));
  return laid(ink, SIDE, ink.width + 2 * LINE_MARGIN, (SIDE - ink.height) >> 1, LINE_MARGIN);
}

// Returns the ink of a photograph {width, height, data: RGBA}: the difference from a plane fitted to its edge.
function inkOf({ width, height, data }) {
  const edge = [], ring = Math.max(1, Math.floor(Math.min(width, height) / 50)), paper = [], residuals = [];
  for (let i = 0; i < width * height; i++) {
    const [r, s] = [Math.floor(i / width), i % width];
    if (Math.min(r, s, height - 1 - r, width - 1 - s) < ring) edge.push([i, (2 * r) / (height - 1 || 1) - 1, (2 * s) / (width - 1 || 1) - 1]);
  }
  const middle = [0, 1, 2].map((c) => median(edge.map(([i]) => data[4 * i + c])));
  const away = edge.map(([i]) => Math.max(...middle.map((m, c) => Math.abs(data[4 * i + c] - m))));
  const limit = 3 * 1.4826 * median(away), near = edge.filter((_, k) => away[k] <= limit);
  for (const c of [0, 1, 2]) {
    const rows = [0, 1, 2].map(() => [0, 0, 0, 0]); // the normal equations of level = p0 + p1 row + p2 column
    for (const [i, r, s] of near)
      [1, r, s].forEach((u, a) => [1, r, s, data[4 * i + c]].forEach((v, b) => (rows[a][b] += u * v)));
    for (let a = 0; a < 3; a++)
      for (let b = 0; b < 3; b++)
        if (a !== b && rows[a][a]) {
          const factor = rows[b][a] / rows[a][a];
          rows[b] = rows[b].map((v, k) => v - factor * rows[a][k]);
        }
    paper.push(rows.map((row, a) => (row[a] ? row[3] / row[a] : 0)));
    for (const [i, r, s] of near) residuals.push(Math.abs(data[4 * i + c] - paper[c][0] - paper[c][1] * r - paper[c][2] * s));
  }
  const noise = 4 * 1.4826 * median(residuals), energy = [0, 0];
  const sides = [planeOf(height, width), planeOf(height, width)]; // darker and lighter than the paper
  for (let i = 0; i < width * height; i++) {
    const [r, s] = [(2 * Math.floor(i / width)) / (height - 1 || 1) - 1, (2 * (i % width)) / (width - 1 || 1) - 1];
    for (const c of [0, 1, 2]) {
      const apart = paper[c][0] + paper[c][1] * r + paper[c][2] * s - data[4 * i + c];
      sides[0].data[i] = Math.max(sides[0].data[i], apart);
      sides[1].data[i] = Math.max(sides[1].data[i], -apart);
    }
    sides.forEach((side, k) => (energy[k] += side.data[i] > noise ? side.data[i] ** 2 : 0));
  }
  return { ink: sides[energy[0] > energy[1] ? 0 : 1], noise };
}

// Scales an image {width, height, data: RGBA} to the training images' shape; the rest gets the colour of the image's edge.
function scaledInto({ width, height, data }, [tall, wide, channels = 1]) {
  const factor = Math.min(tall / height, wide / width), bytes = new Uint8Array(tall * wide * channels);
  const [h, w] = [Math.max(1, Math.round(height * factor)), Math.max(1, Math.round(width * factor))];
  const [top, left] = [Math.floor((tall - h) / 2), Math.floor((wide - w) / 2)];
  for (let c = 0; c < channels; c++) {
    const level = (i) => (channels > 1 ? data[4 * i + c] : Math.round((data[4 * i] + data[4 * i + 1] + data[4 * i + 2]) / 3));
    const plane = planeOf(height, width, Float32Array.from({ length: width * height }, (_, i) => level(i)));
    const onEdge = (_, i) => i < width || i >= width * (height - 1) || i % width === 0 || i % width === width - 1;
    const edge = median(plane.data.filter(onEdge)), small = h === height && w === width ? plane : resized(plane, h, w);
    for (let i = 0; i < tall * wide; i++) {
      const [r, s] = [Math.floor(i / wide) - top, (i % wide) - left];
      bytes[i * channels + c] = r >= 0 && r < h && s >= 0 && s < w ? Math.min(255, Math.round(small.data[r * w + s])) : edge;
    }
  }
  return { height: tall, width: wide, channels, bytes };
}

// Applies the sliders to an image: rotates it counter-clockwise and inverts a fraction of its pixels.
function changed(picture, degrees, share) {
  const { height, width, channels } = picture, bytes = Uint8Array.from(picture.bytes);
  if (degrees) {
    const [cos, sin] = [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];
    const at = (r, s, c) => (r < 0 || s < 0 || r >= height || s >= width ? picture.bytes[c] : picture.bytes[(r * width + s) * channels + c]);
    for (let i = 0; i < height * width; i++) {
      const [r, s] = [Math.floor(i / width) - (height - 1) / 2, (i % width) - (width - 1) / 2];
      const [row, column] = [cos * r + sin * s + (height - 1) / 2, -sin * r + cos * s + (width - 1) / 2];
      const [r0, s0] = [Math.floor(row), Math.floor(column)], [fr, fs] = [row - r0, column - s0];
      for (let c = 0; c < channels; c++)
        bytes[i * channels + c] = Math.round(
          (1 - fr) * ((1 - fs) * at(r0, s0, c) + fs * at(r0, s0 + 1, c)) + fr * ((1 - fs) * at(r0 + 1, s0, c) + fs * at(r0 + 1, s0 + 1, c)),
        );
    }
  }
  // Always inverts the same pixels, because noise that changes with every stroke would flicker.
  for (let i = 0, seed = 1; i < (share ? height * width : 0); i++) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    if (seed / 2 ** 32 < share) for (let c = 0; c < channels; c++) bytes[i * channels + c] ^= 255;
  }
  return { ...picture, bytes };
}
