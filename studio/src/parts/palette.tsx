// The list of keys, and the palette that goes anywhere.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { get } from '../api';
import { printable, shortId } from '../format';
import { m } from '../messages';
import { go, sweepPath } from '../router';
import { change, isDark } from '../settings';
import type { List, SweepItem } from '../types';
import { Dialog } from './ui';

export function ShowKeys({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title={m.keys.title} onClose={onClose}>
      <dl class="kv">
        {m.keys.list.map(([key, what]) => (
          <>
            <dt><span class="kbd">{key}</span></dt>
            <dd>{what}</dd>
          </>
        ))}
      </dl>
      <footer>
        <button type="button" class="button" onClick={onClose}>{m.close}</button>
      </footer>
    </Dialog>
  );
}

interface Entry {
  text: string;
  hint: string;
  run: () => void;
}

export function Palette({ onClose }: { onClose: () => void }) {
  const typed = useSignal('');
  const at = useSignal(0);
  const sweeps = useSignal<SweepItem[]>([]);
  useEffect(() => {
    get<List<SweepItem>>('/sweeps?limit=200&archived=true').then((list) => (sweeps.value = list.items), () => undefined);
  }, []);
  const page = (text: string, href: string): Entry => ({ text, hint: href, run: () => go(href) });
  const entries: Entry[] = [
    page(m.nav.sweeps, '/'),
    page(m.nav.create, '/new'),
    page(m.nav.compare, '/compare'),
    page(m.nav.compute, '/compute'),
    page(m.nav.settings, '/settings'),
    page(m.nav.about, '/about'),
    { text: `${m.settings.theme}: ${isDark() ? m.settings.themes.light : m.settings.themes.dark}`, hint: '', run: () => change({ theme: isDark() ? 'light' : 'dark' }) },
    ...sweeps.value.map((row) => ({
      text: `${row.display_name ?? row.experiment} ${shortId(row.sweep)}`,
      hint: m.state[row.state] ?? row.state,
      run: () => go(sweepPath(row.sweep)),
    })),
  ];
  const words = typed.value.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = entries.filter((entry) => words.every((word) => `${entry.text} ${entry.hint}`.toLowerCase().includes(word))).slice(0, 40);
  const choose = (entry: Entry | undefined) => {
    onClose();
    entry?.run();
  };
  return (
    <Dialog title={m.keys.palette} onClose={onClose}>
      <div class="palette body">
        <input
          type="search"
          aria-label={m.keys.paletteHint}
          placeholder={m.keys.paletteHint}
          autofocus
          value={typed.value}
          onInput={(event) => {
            typed.value = event.currentTarget.value;
            at.value = 0;
          }}
          onKeyDown={(event) => {
            if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
              event.preventDefault();
              at.value = Math.max(0, Math.min(shown.length - 1, at.value + (event.key === 'ArrowDown' ? 1 : -1)));
            } else if (event.key === 'Enter') choose(shown[at.value]);
          }}
        />
        <ul>
          {shown.map((entry, i) => (
            <li key={i}>
              <button type="button" aria-pressed={i === at.value} data-at={i === at.value || undefined} onClick={() => choose(entry)}>
                <span class="wrap">{printable(entry.text, 120)}</span>
                <span class="dim">{printable(entry.hint, 60)}</span>
              </button>
            </li>
          ))}
        </ul>
      </div>
    </Dialog>
  );
}
