// The counts behind the density of curves, against counting pixel by pixel; and how much less work they are.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { check } from './kit.mjs';

const source = new URL('../../studio/src/charts/count.ts', import.meta.url).pathname;
const { transformWithOxc } = await import(pathToFileURL(createRequire(source).resolve('vite')).href);
const folder = mkdtempSync(join(tmpdir(), 'overdrive-raster-'));
try {
  writeFileSync(join(folder, 'count.mjs'), (await transformWithOxc(readFileSync(source, 'utf8'), source)).code);
  const { count } = await import(pathToFileURL(join(folder, 'count.mjs')).href);

  let seed = 1;
  const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;

  /** Every pixel of every column that a curve passes, one by one. */
  const slowly = ({ values, offsets }, { width, height, x, y, logY, every, use, positions }) => {
    const counts = new Uint16Array(width * height);
    const t = (v) => (logY ? (v > 0 ? Math.log(v) : NaN) : v);
    const [sx, sy] = [width / (x[1] - x[0]), height / (t(y[1]) - t(y[0]))];
    const fill = (column, a, b) => {
      if (Math.max(a, b) < 0 || Math.min(a, b) >= height) return;
      for (let row = Math.max(0, Math.floor(Math.min(a, b))); row <= Math.min(height - 1, Math.floor(Math.max(a, b))); row++) counts[row * width + column] += 1;
    };
    for (let curve = 0; curve + 1 < offsets.length; curve += every) {
      if (use && !use[curve]) continue;
      const [from, to] = [offsets[curve], offsets[curve + 1]];
      let [done, ax, ay] = [0, NaN, NaN];
      for (let i = from; i < to; i++) {
        const bx = ((positions ? positions[i - from] : i - from) - x[0]) * sx;
        const by = (t(y[1]) - t(values[i])) * sy;
        if (to - from === 1 && bx >= 0 && bx < width) fill(Math.floor(bx), by, by);
        if (!Number.isNaN(ay) && !Number.isNaN(by)) {
          const slope = (by - ay) / (bx - ax);
          for (let column = Math.max(done, Math.floor(ax)); column < Math.min(width, Math.ceil(bx)); column++) {
            fill(column, ay + Math.max(0, column - ax) * slope, column + 1 < bx ? ay + (column + 1 - ax) * slope : by);
            done = column + 1;
          }
        }
        [ax, ay] = [bx, by];
      }
    }
    return counts;
  };

  const curves = (n, points, shape) => {
    const values = [];
    const offsets = [0];
    for (let i = 0; i < n; i++) {
      const long = points === 1 ? 1 : 1 + Math.floor(random() * points);
      for (let j = 0; j < long; j++) values.push(random() < 0.02 ? NaN : shape(j / points));
      offsets.push(values.length);
    }
    return { values: Float32Array.from(values), offsets: Uint32Array.from(offsets) };
  };
  const whole = { width: 310, height: 170, x: [0, 39], y: [-0.2, 1.3], logY: false, every: 1, use: null, positions: null };
  const cases = {
    'flat curves': [curves(200, 40, (t) => 1 - Math.exp(-4 * t)), whole],
    'steep curves': [curves(200, 40, () => random()), whole],
    'a window inside': [curves(200, 40, (t) => t + random() * 0.1), { ...whole, x: [7.3, 21.9], y: [0.31, 0.52] }],
    'a window far outside': [curves(200, 40, () => random()), { ...whole, x: [-100, 400], y: [-9, 14] }],
    'many points in a column': [curves(50, 2000, (t) => t), { ...whole, x: [0, 1999] }],
    'one point each': [curves(300, 1, () => random()), { ...whole, x: [-1, 1] }],
    'a logarithmic axis': [curves(200, 40, (t) => Math.exp(-9 * t) - 0.0002), { ...whole, y: [1e-4, 1], logY: true }],
    'every third, some left out': [curves(300, 40, () => random()), { ...whole, every: 3, use: Uint8Array.from({ length: 300 }, () => (random() < 0.5 ? 1 : 0)) }],
    'parallel coordinates': [curves(300, 5, () => random()), { ...whole, x: [0, 4], positions: Float32Array.of(0, 0.7, 2, 3.1, 4) }],
  };
  for (const [what, [data, frame]] of Object.entries(cases)) {
    const [fast, slow] = [count(data, frame), slowly(data, frame)];
    let differ = 0;
    for (let i = 0; i < slow.length; i++) differ += fast.counts[i] !== slow[i];
    // An edge that falls exactly on the border of two pixels may be rounded to either.
    check(`counts as one by one: ${what}`, differ <= slow.length * 1e-4 && Math.abs(fast.highest - Math.max(...slow)) <= 1 && Math.max(...slow) > 0, `${differ} pixels differ`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
