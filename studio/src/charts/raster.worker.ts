// Density of curves, away from the page's thread: counts of lines per pixel become opacity by their logarithm.
import { type Curves, type Frame, count } from './count';

export interface RasterJob extends Frame {
  id: number;
  /** Null: those of the job before. */
  data: Curves | null;
  /** One colour per curve group is enough: grey density. */
  color: [number, number, number];
}

export interface RasterDone {
  id: number;
  bitmap: ImageBitmap | null;
  highest: number;
}

let held: Curves = { values: new Float32Array(0), offsets: new Uint32Array(1) };

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
  const { counts, highest } = count(held, job);
  const bitmap = await createImageBitmap(shade(counts, highest, job.width, job.height, job.color));
  (self as unknown as Worker).postMessage({ id: job.id, bitmap, highest } satisfies RasterDone, [bitmap]);
};
