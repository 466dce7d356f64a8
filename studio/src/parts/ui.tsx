// Small parts: states, buttons with menus, dialogs, notes that pass, lines of text with marks.
import { signal, useSignal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { Refusal } from '../api';
import { printable } from '../format';
import { m } from '../messages';
import { left } from '../router';

/**
 * The title of a view, also of the window. A view that was gone to takes the focus here, so that it is read out and the next Tab is inside it; not from
 * whoever went on meanwhile, and not when the page is opened.
 */
export function Title({ text, window: short }: { text: string; window?: string }) {
  const here = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => {
    const now = document.activeElement;
    if (left === undefined || document.querySelector('dialog[open]')) return;
    if (left === null || now === document.body || now === left) here.current?.focus({ preventScroll: true });
  }, []);
  useLayoutEffect(() => {
    document.title = `${short ?? text} · ${m.product}`;
  }, [short ?? text]);
  return <h1 ref={here} class="wrap" tabIndex={-1}>{text}</h1>;
}

/** Glyph, word and colour of a state: colour is never the only sign. */
export function State({ state, cause, best }: { state: string; cause?: string | null; best?: boolean }) {
  const [glyph, look] = sign(state, cause ?? null);
  const word = m.state[state] ?? printable(state);
  return (
    <span class={`state ${look}`}>
      <b aria-hidden="true">{best ? '▲' : glyph}</b>
      {word}
      {best && <span class="visually-hidden">, {m.trials.best}</span>}
    </span>
  );
}

export function sign(state: string, cause: string | null): [string, string] {
  switch (state) {
    case 'Running':
      return ['●', 'live'];
    case 'Completed':
      return ['✓', ''];
    case 'Failed':
      return ['✗', 'failed'];
    case 'Canceled':
      return ['■', cause === 'policy' ? 'stopped' : 'faint'];
    case 'Paused':
      return ['‖', 'stopped'];
    case 'CancelRequested':
      return ['■', 'live'];
    case 'NotResponding':
      return ['?', 'failed'];
    default:
      return ['◌', 'faint'];
  }
}

/** Backticks become code, everything else is text. */
export function Words({ text }: { text: string }) {
  return (
    <>
      {text.split('`').map((part, i) => (i % 2 === 1 ? <code key={i}>{printable(part, 20_000)}</code> : printable(part, 20_000)))}
    </>
  );
}

export function Spark({ values, label }: { values: number[]; label: string }) {
  if (values.length < 2) return <span class="dim">–</span>;
  let [low, high] = [Infinity, -Infinity];
  for (const v of values) {
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  const span = high - low || 1;
  const points = values.map((v, i) => `${((i / (values.length - 1)) * 100).toFixed(2)},${(28 - ((v - low) / span) * 26).toFixed(2)}`).join(' ');
  return (
    <svg class="spark" viewBox="0 0 100 30" preserveAspectRatio="none" role="img" aria-label={label}>
      <polyline points={points} />
    </svg>
  );
}

export function Loading({ text, tall }: { text?: string; tall?: boolean }) {
  return (
    <div class="skeleton" role="status" style={tall ? { minHeight: '320px' } : undefined}>
      {text ?? m.loading}
    </div>
  );
}

/** What went wrong; its lines stay lines. `what`: where it was not a look at something. */
export function Trouble({ error, again, what }: { error: unknown; again?: () => void; what?: string }) {
  const text = error instanceof Error ? error.message : String(error);
  return (
    <div class="problem" role="alert">
      <strong>{what ?? m.failed}</strong>
      {text.split('\n').map((line, i) => (
        <span key={i} class={i ? 'wrap dim' : 'wrap'}>
          <Words text={line} />
        </span>
      ))}
      {again && (
        <div>
          <button type="button" class="button small" onClick={again}>
            {m.retry}
          </button>
        </div>
      )}
    </div>
  );
}

// ---- notes that pass

interface Toast {
  id: number;
  text: string;
  bad: boolean;
}
const toasts = signal<Toast[]>([]);
let nextToast = 1;

export function say(text: string, bad = false): void {
  const id = nextToast++;
  toasts.value = [...toasts.value.slice(-3), { id, text, bad }];
  window.setTimeout(() => dismiss(id), bad ? 15_000 : 5_000);
}

function dismiss(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

export function complain(error: unknown): void {
  if ((error as Error)?.name === 'AbortError') return;
  say(error instanceof Refusal || error instanceof Error ? error.message : String(error), true);
}

export function Toasts() {
  return (
    <div class="toasts" role="log" aria-live="polite">
      {toasts.value.map((toast) => (
        <div key={toast.id} class={`toast ${toast.bad ? 'bad' : ''}`}>
          {toast.text.includes('\n') ? <pre>{toast.text}</pre> : <span class="wrap"><Words text={toast.text} /></span>}
          <button type="button" class="link-button" aria-label={m.close} onClick={() => dismiss(toast.id)}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say(m.copied);
  } catch (error) {
    complain(error);
  }
}

export function Copy({ text, label }: { text: string; label?: string }) {
  return (
    <button type="button" class="link-button" onClick={() => void copy(text)} aria-label={`${m.copy}${label ? `: ${label}` : ''}`}>
      {m.copy}
    </button>
  );
}

// ---- menus and dialogs

/** A button that opens a list of choices; arrows walk, Escape closes. */
export function Menu({ label, text, children, className }: { label: string; text: ComponentChildren; children: ComponentChildren; className?: string }) {
  const open = useSignal(false);
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (!open.value) return;
    const outside = (event: Event) => {
      if (!box.current?.contains(event.target as Node)) open.value = false;
    };
    document.addEventListener('pointerdown', outside);
    box.current?.querySelector<HTMLElement>('.menu button, .menu a, .menu input')?.focus();
    return () => document.removeEventListener('pointerdown', outside);
  }, [open.value]);
  useLayoutEffect(() => {
    // A choice that is no more, as the sweep has ended meanwhile, leaves the focus to the first that is.
    if (open.value && document.activeElement === document.body) box.current?.querySelector<HTMLElement>('.menu button, .menu a, .menu input')?.focus();
  });
  const keys = (event: KeyboardEvent) => {
    if (event.key === 'Escape' && open.value) {
      open.value = false;
      box.current?.querySelector<HTMLElement>('button')?.focus();
      event.stopPropagation();
      return;
    }
    if (!open.value || (event.key !== 'ArrowDown' && event.key !== 'ArrowUp')) return;
    event.preventDefault();
    const items = [...(box.current?.querySelectorAll<HTMLElement>('.menu button, .menu a, .menu input') ?? [])];
    const at = items.indexOf(document.activeElement as HTMLElement);
    items[(at + (event.key === 'ArrowDown' ? 1 : -1) + items.length) % items.length]?.focus();
  };
  return (
    <div class={`menu-wrap ${className ?? ''}`} ref={box} onKeyDown={keys}>
      <button type="button" class="button small" aria-label={label} aria-haspopup="true" aria-expanded={open.value} data-menu onClick={() => (open.value = !open.value)}>
        {text}
      </button>
      {open.value && (
        <div
          class="menu"
          onClick={(event) => {
            // A box that is ticked keeps the menu open; a choice closes it.
            if (!(event.target as Element).closest('button, a')) return;
            open.value = false;
            // Before a dialog opens, which gives the focus back to where it was.
            box.current?.querySelector<HTMLElement>('button')?.focus();
          }}
        >
          {children}
        </div>
      )}
    </div>
  );
}

export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }) {
  const ref = useRef<HTMLDialogElement>(null);
  const here = useRef(true);
  // Shown and focused within the task of the key that asked for it: what is typed next must arrive here and reach no shortcut.
  useLayoutEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    // The choice of a menu goes away with its menu.
    const back = before?.closest('.menu-wrap')?.querySelector('button') ?? before;
    dialog?.showModal();
    return () => {
      here.current = false;
      // Closing gives the focus back by itself; not to what is gone, and not over a dialog that has opened meanwhile.
      dialog?.close();
      const now = document.activeElement;
      const lost = now === document.body || dialog?.contains(now) === true;
      if (lost && !document.querySelector('dialog[open]') && back instanceof HTMLElement) back.focus();
    };
  }, []);
  return (
    <dialog
      ref={ref}
      aria-label={title}
      onClose={() => here.current && onClose()}
      onClick={(event) => {
        if (event.target === ref.current) ref.current?.close();
      }}
    >
      <div class="body">
        <h2>{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

interface Question {
  id: number;
  text: string;
  help: string;
  action: string;
  answer: (yes: boolean) => void;
}
const question = signal<Question | null>(null);
let nextQuestion = 1;

/** Asks before something that cannot be undone. */
export function ask(text: string, help: string, action: string): Promise<boolean> {
  return new Promise((resolve) => {
    question.value?.answer(false);
    const mine: Question = {
      id: nextQuestion++,
      text,
      help,
      action,
      answer: (yes) => {
        if (question.value === mine) question.value = null;
        resolve(yes);
      },
    };
    question.value = mine;
  });
}

export function Questions() {
  const now = question.value;
  if (!now) return null;
  return (
    <Dialog key={now.id} title={now.text} onClose={() => now.answer(false)}>
      <p><Words text={now.help} /></p>
      <footer>
        <button type="button" class="button" onClick={() => now.answer(false)} autofocus>
          {m.cancel}
        </button>
        <button type="button" class="button danger" onClick={() => now.answer(true)}>
          {now.action}
        </button>
      </footer>
    </Dialog>
  );
}

/** Saves text or bytes under a name. */
export function save(name: string, content: BlobPart, type: string): void {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  window.setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export function csvCell(value: unknown): string {
  if (value === null || value === undefined) return '';
  let text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  // A spreadsheet must not take a script's text for a formula.
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text))) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Runs `load` when `key` changes; older answers are dropped. */
export function useLoad<T>(key: string, load: (signal: AbortSignal) => Promise<T>): { value: T | null; error: unknown; again: () => void } {
  const value = useSignal<T | null>(null);
  const error = useSignal<unknown>(null);
  const turn = useSignal(0);
  useEffect(() => {
    const stop = new AbortController();
    load(stop.signal).then(
      (loaded) => {
        if (stop.signal.aborted) return;
        value.value = loaded;
        error.value = null;
      },
      (problem: unknown) => {
        if (!stop.signal.aborted) error.value = problem;
      },
    );
    return () => stop.abort();
  }, [key, turn.value]);
  return { value: value.value, error: error.value, again: () => (turn.value += 1) };
}
