// Counts of lines per pixel, away from the page's thread: each segment is walked column by column, counts become opacity by their logarithm.

export interface RasterJob {
  id: number;
  width: number;
  height: number;
  /** Values of all curves one after the other, and where each begins; x of a point is its place in the curve. Null: those of the job before. */
  data: { values: Float32Array; offsets: Uint32Array } | null;
  /** One colour per curve group is enough: grey density. */
  color: [number, number, number];
  x: [number, number];
  y: [number, number];
  logY: boolean;
  /** Every so many curves only. */
  every: number;
  /** Curves whose flag is 0 are left out. */
  use: Uint8Array | null;
  /** With positions of the points: parallel coordinates. */
  positions: Float32Array | null;
}

export interface RasterDone {
  id: number;
  bitmap: ImageBitmap | null;
  highest: number;
}

let held: NonNullable<RasterJob['data']> = { values: new Float32Array(0), offsets: new Uint32Array(1) };

function count(job: RasterJob): { counts: Uint16Array; highest: number } {
  const { width, height } = job;
  const { values, offsets } = held;
  const counts = new Uint16Array(width * height);
  const transform = job.logY ? (v: number) => (v > 0 ? Math.log(v) : NaN) : (v: number) => v;
  const [x0, x1] = job.x;
  const [y0, y1] = [transform(job.y[0]), transform(job.y[1])];
  const sx = width / (x1 - x0);
  const sy = height / (y1 - y0);
  let highest = 0;
  const fill = (column: number, a: number, b: number) => {
    let top = a < b ? a : b;
    let bottom = a < b ? b : a;
    if (bottom < 0 || top >= height) return;
    top = top < 0 ? 0 : top | 0;
    bottom = bottom >= height ? height - 1 : bottom | 0;
    for (let row = top, at = top * width + column; row <= bottom; row++, at += width) {
      const next = counts[at]! + 1;
      if (next < 65535) counts[at] = next;
      if (next > highest) highest = next;
    }
  };
  for (let curve = 0; curve + 1 < offsets.length; curve += job.every) {
    if (job.use && job.use[curve] === 0) continue;
    const [from, to] = [offsets[curve]!, offsets[curve + 1]!];
    let done = -1;
    let ax = NaN;
    let ay = NaN;
    for (let i = from; i < to; i++) {
      const bx = ((job.positions ? job.positions[i - from]! : i - from) - x0) * sx;
      const by = (y1 - transform(values[i]!)) * sy;
      if (to - from === 1 && by === by && bx >= 0 && bx < width) fill(bx | 0, by, by);
      if (ay === ay && by === by) {
        let first = Math.max(0, Math.floor(ax), done + 1);
        const last = Math.min(width - 1, Math.ceil(bx) - 1);
        const slope = (by - ay) / (bx - ax);
        for (; first <= last; first++) {
          const left = ay + (first > ax ? first - ax : 0) * slope;
          const right = ay + (first + 1 < bx ? first + 1 - ax : bx - ax) * slope;
          fill(first, left, right);
          done = first;
        }
      }
      ax = bx;
      ay = by;
    }
  }
  return { counts, highest };
}

export function shade(counts: Uint16Array, highest: number, width: number, height: number, color: [number, number, number]): ImageData {
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const rgb = (color[2] << 16) | (color[1] << 8) | color[0];
  // Alpha by the logarithm of the count; one lone curve stays visible.
  const table = new Uint8Array(Math.max(2, highest + 1));
  const scale = 205 / Math.log(1 + Math.max(6, highest));
  for (let n = 1; n < table.length; n++) table[n] = Math.min(250, 40 + Math.log(1 + n) * scale);
  for (let i = 0; i < counts.length; i++) {
    const n = counts[i]!;
    if (n) pixels[i] = ((table[n]! << 24) | rgb) >>> 0;
  }
  return image;
}

self.onmessage = async (event: MessageEvent<RasterJob>) => {
  const job = event.data;
  // Before anything is waited for: jobs come in order.
  if (job.data) held = job.data;
  const { counts, highest } = count(job);
  const bitmap = await createImageBitmap(shade(counts, highest, job.width, job.height, job.color));
  (self as unknown as Worker).postMessage({ id: job.id, bitmap, highest } satisfies RasterDone, [bitmap]);
};
