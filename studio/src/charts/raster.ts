// The one worker, and the one policy by which its address is trusted.
import address from './raster.worker?worker&url';
import type { RasterDone, RasterJob } from './raster.worker';

interface Policies {
  createPolicy(name: string, rules: { createScriptURL(text: string): string }): { createScriptURL(text: string): string };
}

function trusted(): string {
  const types = (window as unknown as { trustedTypes?: Policies }).trustedTypes;
  if (!types) return address;
  const policy = types.createPolicy('od-worker', {
    createScriptURL(text) {
      if (text !== address) throw new TypeError('no other script');
      return text;
    },
  });
  return policy.createScriptURL(address);
}

let worker: Worker | null = null;
let nextId = 1;
const waiting = new Map<number, (done: RasterDone) => void>();

function start(): Worker {
  if (!worker) {
    worker = new Worker(trusted(), { type: 'module' });
    worker.onmessage = (event: MessageEvent<RasterDone>) => {
      const { id } = event.data;
      waiting.get(id)?.(event.data);
      waiting.delete(id);
    };
  }
  return worker;
}

/** Values that the worker holds: they are sent once, not with each window. */
let sent: { values: Float32Array; offsets: Uint32Array } | null = null;

/** Draws curves into a bitmap. */
export function raster(job: Omit<RasterJob, 'id' | 'data'> & { values: Float32Array; offsets: Uint32Array }): Promise<RasterDone> {
  const id = nextId++;
  const { values, offsets, ...rest } = job;
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    const known = sent?.values === values && sent.offsets === offsets;
    if (!known) sent = { values, offsets };
    start().postMessage({ ...rest, id, data: known ? null : { values, offsets } } satisfies RasterJob);
  });
}

export function rgb(hex: string): [number, number, number] {
  const n = Number.parseInt(hex.slice(1), 16);
  return [(n >> 16) & 255, (n >> 8) & 255, n & 255];
}
