// What is being written on the page for a new sweep; survives going elsewhere and back.
import { signal } from '@preact/signals';

export const draft = signal<{ name: string; text: string } | null>(null);
