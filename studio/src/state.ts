// What all views share.
import { signal } from '@preact/signals';
import type { About } from './types';

export const about = signal<About | null>(null);

export function readOnly(): boolean {
  return about.value?.read_only ?? false;
}

/** Trials picked with `x`, as `SWEEP.N`, over all tables. */
export const picked = signal<string[]>([]);

export function pick(name: string): void {
  picked.value = picked.value.includes(name) ? picked.value.filter((other) => other !== name) : [...picked.value, name].slice(-12);
}
