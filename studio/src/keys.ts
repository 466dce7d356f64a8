// Keys for those who keep their hands there. Off while typing, and off altogether if the settings say so.
import { useLayoutEffect, useRef } from 'preact/hooks';
import { settings } from './settings';

/** What a key does; `false` says that it was not meant, and the binding before is asked. */
type Action = (event: KeyboardEvent) => unknown;
const bound = new Map<string, Action[]>();
let prefix = '';
let prefixTimer = 0;

/** Binds a key (`j`, `Shift-X`, `g s`) until the returned function is called. */
function bind(key: string, action: Action): () => void {
  const list = bound.get(key) ?? [];
  bound.set(key, [...list, action]);
  return () => bound.set(key, (bound.get(key) ?? []).filter((other) => other !== action));
}

/**
 * The keys of a view, from the moment it is in the document until it leaves it: whoever types fast must neither reach the view before nor nobody. The
 * actions are always those of the last drawing.
 */
export function useKeys(keys: Record<string, Action>): void {
  const latest = useRef(keys);
  latest.current = keys;
  useLayoutEffect(() => {
    const undo = Object.keys(latest.current).map((key) => bind(key, (event) => latest.current[key]?.(event)));
    return () => undo.forEach((one) => one());
  }, [Object.keys(keys).join(' ')]);
}

/** Asks the bindings of a key, the latest first. */
function act(key: string, event: KeyboardEvent): boolean {
  for (const action of [...(bound.get(key) ?? [])].reverse()) if (action(event) !== false) return true;
  return false;
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
    act('Ctrl-K', event);
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
  if (act(full, event)) event.preventDefault();
  else if (name === 'g') {
    prefix = 'g';
    prefixTimer = window.setTimeout(() => (prefix = ''), 1500);
  }
});
