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

/** Draws curves into a bitmap. */
export function raster(job: Omit<RasterJob, 'id'>): Promise<RasterDone> {
  const id = nextId++;
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    start().postMessage({ ...job, id });
  });
}

export function rgb(hex: string): [number, number, number] {
  const n = Number.parseInt(hex.slice(1), 16);
  return [(n >> 16) & 255, (n >> 8) & 255, n & 255];
}
