// What is being written on the page for a new sweep; survives going elsewhere and back.
import { signal } from '@preact/signals';
import type { Spec } from './spec';

export const draft = signal<{ name: string; text: string } | null>(null);

/** The form beside it; null while the text is written by hand. */
export const form = signal<Spec | null>(null);
