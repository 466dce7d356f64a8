// Keys for those who keep their hands there. Off while typing, and off altogether if the settings say so.
import { settings } from './settings';

type Action = (event: KeyboardEvent) => void;
const bound = new Map<string, Action[]>();
let prefix = '';
let prefixTimer = 0;

/** Binds a key (`j`, `Shift-X`, `g s`) until the returned function is called; the latest binding wins. */
export function bind(key: string, action: Action): () => void {
  const list = bound.get(key) ?? [];
  bound.set(key, [...list, action]);
  return () => bound.set(key, (bound.get(key) ?? []).filter((other) => other !== action));
}

export function bindAll(keys: Record<string, Action>): () => void {
  const undo = Object.entries(keys).map(([key, action]) => bind(key, action));
  return () => undo.forEach((one) => one());
}

function typing(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  if (!target) return false;
  if (target.isContentEditable || target.tagName === 'TEXTAREA' || target.tagName === 'SELECT') return true;
  return target.tagName === 'INPUT' && !['checkbox', 'radio', 'button'].includes((target as HTMLInputElement).type);
}

document.addEventListener('keydown', (event) => {
  const palette = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k';
  if (palette) {
    event.preventDefault();
    bound.get('Ctrl-K')?.at(-1)?.(event);
    return;
  }
  if (!settings.value.keys || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (document.querySelector('dialog[open]')) return;
  if (typing(event)) {
    if (event.key === 'Escape') (event.target as HTMLElement).blur();
    return;
  }
  const target = event.target as HTMLElement;
  // Buttons and links take Enter themselves; charts take arrows.
  if (event.key === 'Enter' && target.closest('a, button')) return;
  const name = event.shiftKey && event.key.length === 1 && /[A-Z]/.test(event.key) ? `Shift-${event.key}` : event.key;
  const full = prefix ? `${prefix} ${name}` : name;
  prefix = '';
  window.clearTimeout(prefixTimer);
  const action = bound.get(full)?.at(-1);
  if (action) {
    event.preventDefault();
    action(event);
  } else if (name === 'g') {
    prefix = 'g';
    prefixTimer = window.setTimeout(() => (prefix = ''), 1500);
  }
});
