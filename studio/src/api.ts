// One door to the server: JSON in and out, refusals as values of one kind.
import { signal } from '@preact/signals';
import { m } from './messages';

/** A refusal, in the server's words. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Set once the server no longer knows this browser. */
export const signedOut = signal(false);

async function call(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`/api/v1${path}`, { credentials: 'same-origin', ...init });
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error;
    throw new Refusal(0, 'unreachable', m.unreachable);
  }
  if (response.ok) return response;
  if (response.status === 401) signedOut.value = true;
  let code = 'refused';
  let message = m.refused(response.status);
  try {
    const body = (await response.json()) as { error?: { code?: string; message?: string } };
    code = body.error?.code ?? code;
    message = body.error?.message ?? message;
  } catch {
    // An answer without our shape: the status must do.
  }
  throw new Refusal(response.status, code, message);
}

export function place(parts: TemplateStringsArray, ...values: (string | number)[]): string {
  return parts.reduce((text, part, i) => text + part + (i < values.length ? encodeURIComponent(String(values[i])) : ''), '');
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await (await call(path, { signal })).json()) as T;
}

export async function getBytes(path: string, signal?: AbortSignal): Promise<ArrayBuffer> {
  return (await call(path, { signal })).arrayBuffer();
}

export async function getText(path: string, signal?: AbortSignal): Promise<{ text: string; offset: number; next: number; size: number }> {
  const response = await call(path, { signal });
  const head = (name: string) => Number(response.headers.get(name) ?? 0);
  return {
    text: new TextDecoder().decode(await response.arrayBuffer()),
    offset: head('x-log-offset'),
    next: head('x-log-next'),
    size: head('x-log-size'),
  };
}

export async function send<T>(method: 'POST' | 'PATCH' | 'DELETE', path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const response = await call(path, {
    method,
    headers: { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
  });
  return (await response.json()) as T;
}
