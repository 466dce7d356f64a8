// Live changes: one stream per visible page, resumed where it broke; hidden tabs hold no connection (browsers allow six per server).
import { signal } from '@preact/signals';
import type { EventRow } from './types';

export type Link = { open: boolean; since: number; asOf: number };

/** How the stream stands; `asOf` is when data was last known to be current. */
export const link = signal<Link>({ open: true, since: Date.now(), asOf: Date.now() });

const RETRY_MS = 1000;
const HIDDEN_MS = 10_000;

export interface Stream {
  close(): void;
}

/**
 * Follows a sweep, or all. `changed` gets batches in order; `caughtUp` is called after each break, when a snapshot may have been missed.
 */
export function follow(
  sweep: string | null,
  after: number | null,
  changed: (rows: EventRow[]) => void,
  caughtUp: () => void,
): Stream {
  let source: EventSource | null = null;
  let retry = 0;
  let hidden = 0;
  let last = after;
  let broken = false;
  let closed = false;

  const base = sweep === null ? '/api/v1/events' : `/api/v1/sweeps/${encodeURIComponent(sweep)}/events`;

  const lost = () => {
    broken = true;
    if (link.value.open) link.value = { open: false, since: Date.now(), asOf: link.value.asOf };
  };

  const connect = () => {
    window.clearTimeout(retry);
    if (closed || source) return;
    const opened = new EventSource(last === null ? base : `${base}?after=${last}`);
    source = opened;
    opened.onopen = () => {
      link.value = { open: true, since: Date.now(), asOf: Date.now() };
      if (broken) {
        broken = false;
        caughtUp();
      }
    };
    opened.addEventListener('changes', (event) => {
      const rows = JSON.parse((event as MessageEvent<string>).data) as EventRow[];
      const newest = rows.at(-1);
      if (newest) last = newest.seq;
      link.value = { ...link.value, asOf: Date.now() };
      changed(rows);
    });
    opened.onerror = () => {
      // Reconnecting by hand: the browser's own patience differs, and it gives up on some errors.
      opened.close();
      if (source === opened) source = null;
      lost();
      retry = window.setTimeout(connect, RETRY_MS);
    };
  };

  const disconnect = () => {
    window.clearTimeout(retry);
    source?.close();
    source = null;
  };

  const visibility = () => {
    window.clearTimeout(hidden);
    if (document.hidden) {
      hidden = window.setTimeout(() => {
        disconnect();
        broken = true;
      }, HIDDEN_MS);
    } else if (!source) connect();
  };

  document.addEventListener('visibilitychange', visibility);
  connect();

  return {
    close() {
      closed = true;
      window.clearTimeout(hidden);
      document.removeEventListener('visibilitychange', visibility);
      disconnect();
      link.value = { open: true, since: Date.now(), asOf: Date.now() };
    },
  };
}

/** Calls `work` at most every `ms`, the last call never lost; one at a time. */
export function throttle(ms: number, work: () => Promise<void>): { now(): void; stop(): void } {
  let timer = 0;
  let running = false;
  let again = false;
  let lastEnd = 0;
  let stopped = false;
  const run = () => {
    timer = 0;
    if (stopped) return;
    running = true;
    again = false;
    void work().finally(() => {
      running = false;
      lastEnd = Date.now();
      if (again) plan();
    });
  };
  const plan = () => {
    if (stopped) return;
    if (running) again = true;
    else if (!timer) timer = window.setTimeout(run, Math.max(0, lastEnd + ms - Date.now()));
  };
  return {
    now: plan,
    stop() {
      stopped = true;
      window.clearTimeout(timer);
    },
  };
}
