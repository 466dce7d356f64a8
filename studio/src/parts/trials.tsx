// The table of trials: any number of rows, fetched in pages around what is seen, searched by the server.
import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { Refusal, get, place } from '../api';
import { count, duration, number, printable, time } from '../format';
import { useKeys } from '../keys';
import { m } from '../messages';
import { go, query, setQuery, trialPath } from '../router';
import { settings } from '../settings';
import { pick, picked } from '../state';
import type { List, SweepRow, TrialRow } from '../types';
import { Menu, State, csvCell, save } from './ui';

const PAGE = 500;
/** Pages that are kept; others are fetched again when they come into sight. */
const KEPT = 6;
const BASE = ['trial', 'state', 'best', 'last', 'reports', 'time'];
const MORE = ['started', 'ended', 'target', 'why'];
const ORDERS: Record<string, string> = { trial: 'number', best: 'best', started: 'started', ended: 'ended' };

interface Props {
  sweep: SweepRow;
  version: number;
  tall?: boolean;
  names: string[];
}

export function Trials({ sweep, version, tall, names }: Props) {
  const pages = useRef(new Map<number, TrialRow[]>());
  const total = useSignal<number | null>(null);
  const drawn = useSignal(0);
  const problem = useSignal('');
  const top = useSignal(0);
  const high = useSignal(480);
  const cursor = useSignal(0);
  const anchor = useRef(0);
  const body = useRef<HTMLDivElement>(null);
  const where = query.value.get('where') ?? '';
  const order = query.value.get('order') ?? 'trial';
  const down = query.value.get('down') === '1';
  const chosen = query.value.get('columns')?.split(',') ?? null;
  const columns = useMemo(() => {
    const all = [...BASE, ...names.map((name) => `p:${name}`), ...MORE];
    const usual = [...BASE, ...names.slice(0, 8).map((name) => `p:${name}`), 'why'];
    return { all, shown: all.filter((name) => (chosen ?? usual).includes(name)) };
  }, [names.join('\n'), chosen?.join('\n')]);
  const phone = useSignal(window.matchMedia('(max-width: 640px)').matches);
  const rowHeight = phone.value ? 84 : settings.value.density === 'compact' ? 26 : 34;

  const asked = useRef(new Set<number>());
  const turn = useRef(0);
  const key = `${sweep.sweep}|${where}|${order}|${down}`;

  const load = async (page: number, fresh: number) => {
    if (asked.current.has(page)) return;
    asked.current.add(page);
    const state = new URLSearchParams({ limit: String(PAGE), offset: String(page * PAGE), order: ORDERS[order] ?? 'number' });
    if (down) state.set('reverse', 'true');
    if (where.trim()) state.set('where', where);
    try {
      const answer = await get<List<TrialRow>>(`${place`/sweeps/${sweep.sweep}/trials`}?${state}`);
      if (fresh !== turn.current) return;
      pages.current.set(page, answer.items);
      total.value = answer.total ?? answer.items.length;
      problem.value = '';
      const here = Math.floor(top.value / rowHeight / PAGE);
      for (const other of pages.current.keys()) if (pages.current.size > KEPT && Math.abs(other - here) > 2) pages.current.delete(other);
    } catch (error) {
      if (fresh === turn.current) problem.value = error instanceof Refusal ? error.message : String(error);
    } finally {
      if (fresh === turn.current) {
        asked.current.delete(page);
        drawn.value += 1;
      }
    }
  };

  const first = Math.max(0, Math.floor(top.value / rowHeight) - 8);
  const last = Math.min((total.value ?? 0) - 1, Math.ceil((top.value + high.value) / rowHeight) + 8);

  const see = (fresh: number) => {
    for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.max(first, last) / PAGE); page++) {
      if (!pages.current.has(page)) void load(page, fresh);
    }
  };

  useEffect(() => {
    turn.current += 1;
    asked.current.clear();
    pages.current.clear();
    total.value = null;
    top.value = 0;
    if (body.current) body.current.scrollTop = 0;
    void load(0, turn.current);
  }, [key]);

  // What is seen is fetched anew when something changed; the rest when it comes into sight.
  useEffect(() => {
    if (version === 0) return;
    turn.current += 1;
    asked.current.clear();
    const seen = new Set([Math.floor(first / PAGE), Math.floor(Math.max(first, last) / PAGE)]);
    for (const page of [...pages.current.keys()]) if (!seen.has(page)) pages.current.delete(page);
    for (const page of seen) void load(page, turn.current);
  }, [version]);

  useEffect(() => see(turn.current), [first, last, total.value]);

  useEffect(() => {
    const element = body.current;
    if (!element) return;
    const watch = new ResizeObserver(() => {
      high.value = element.clientHeight;
      phone.value = window.matchMedia('(max-width: 640px)').matches;
    });
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  const row = (i: number): TrialRow | undefined => pages.current.get(Math.floor(i / PAGE))?.[i % PAGE];
  const name = (trial: number) => `${sweep.sweep}.${trial}`;

  const move = (by: number) => {
    cursor.value = Math.max(0, Math.min((total.value ?? 1) - 1, cursor.value + by));
    const element = body.current;
    if (!element) return;
    const y = cursor.value * rowHeight;
    if (y < element.scrollTop) element.scrollTop = y;
    else if (y + 2 * rowHeight > element.scrollTop + element.clientHeight - 34) element.scrollTop = y - element.clientHeight + 2 * rowHeight + 34;
  };

  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Enter: () => {
      const at = row(cursor.value);
      if (at) go(trialPath(sweep.sweep, at.trial));
    },
    x: () => {
      const at = row(cursor.value);
      if (at) pick(name(at.trial));
      anchor.current = cursor.value;
    },
    'Shift-X': () => {
      const [a, b] = [Math.min(anchor.current, cursor.value), Math.max(anchor.current, cursor.value)];
      for (let i = a; i <= b; i++) {
        const at = row(i);
        if (at && !picked.value.includes(name(at.trial))) pick(name(at.trial));
      }
    },
    c: () => picked.value.length > 0 && go(`/compare?trials=${picked.value.map(encodeURIComponent).join(',')}`),
    e: () => void exportRows(sweep, where, names),
    r: () => setQuery({ where: where.includes('state:running') ? null : 'state:running' }),
    l: () => {
      const at = row(cursor.value);
      if (at) go(trialPath(sweep.sweep, at.trial, 'logs'));
    },
  });

  const words = useSignal(where);
  const sent = useRef(where);
  const typing = useRef(0);
  // Words that were not sent yet are not for the view that comes next.
  useLayoutEffect(() => () => window.clearTimeout(typing.current), []);
  useEffect(() => {
    // What was typed here is further on than its own echo from the address.
    if (where === sent.current) return;
    sent.current = where;
    words.value = where;
  }, [where]);

  const title = (column: string) => (column.startsWith('p:') ? printable(column.slice(2), 40) : column === 'best' && sweep.metric ? `${m.trials.columns.best} ${printable(sweep.metric, 24)}` : (m.trials.columns[column] ?? column));
  const sortable = (column: string) => column in ORDERS;
  const sort = (column: string) => {
    const again = order === column;
    setQuery({ order: column === 'trial' && again && down ? null : column, down: again ? (down ? null : '1') : null });
  };
  const here = picked.value.filter((one) => one.startsWith(`${sweep.sweep}.`));
  const rows: number[] = [];
  for (let i = first; i <= last; i++) rows.push(i);
  void drawn.value;
  return (
    <>
      <div class="toolbar">
        <input
          type="search"
          aria-label={m.trials.search}
          placeholder={m.trials.hint}
          style={{ flex: '1 1 240px', maxWidth: '480px' }}
          value={words.value}
          aria-invalid={problem.value !== ''}
          list="search-words"
          onInput={(event) => {
            words.value = event.currentTarget.value;
            window.clearTimeout(typing.current);
            typing.current = window.setTimeout(() => {
              sent.current = words.value;
              setQuery({ where: words.value });
            }, 200);
          }}
        />
        <datalist id="search-words">
          {['state:failed', 'state:running', 'state:completed', 'state:stopped', 'best>', 'duration>', ...names.slice(0, 20).map((one) => `${one.replace(/^-+/, '')}<`)].map((word) => (
            <option key={word} value={word} />
          ))}
        </datalist>
        <span class="dim" role="status">{total.value === null ? m.loading : m.trials.count(count(total.value))}</span>
        {here.length > 0 && (
          <>
            <span>{m.trials.selected(here.length)}</span>
            <a class="button small" href={`/compare?trials=${picked.value.map(encodeURIComponent).join(',')}`}>{m.trials.compare}</a>
            <button type="button" class="link-button" onClick={() => (picked.value = picked.value.filter((one) => !here.includes(one)))}>{m.trials.clear}</button>
          </>
        )}
        <Menu label={m.trials.choose} text={m.trials.choose}>
          {columns.all.map((column) => (
            <label key={column} class="check">
              <input
                type="checkbox"
                checked={columns.shown.includes(column)}
                disabled={column === 'trial' || column === 'state'}
                onChange={() => {
                  const next = columns.shown.includes(column) ? columns.shown.filter((other) => other !== column) : [...columns.shown, column];
                  setQuery({ columns: next.join(',') });
                }}
              />
              {title(column)}
            </label>
          ))}
        </Menu>
        <button type="button" class="button small" onClick={() => void exportRows(sweep, where, names)}>CSV</button>
      </div>
      {problem.value && <div class="problem" role="alert">{printable(problem.value, 400)}</div>}
      <div
        class="scroll trial-table"
        ref={body}
        tabIndex={0}
        role="region"
        aria-label={m.sweep.trialsTitle}
        style={{ height: `${Math.min(tall ? Math.max(360, window.innerHeight - 300) : 420, Math.max(110, ((total.value ?? 4) + 1) * rowHeight + 20))}px` }}
        onScroll={(event) => (top.value = event.currentTarget.scrollTop)}
      >
        <table aria-rowcount={(total.value ?? 0) + 1}>
          <thead>
            <tr>
              <th scope="col"><span class="visually-hidden">{m.trials.columns.select}</span></th>
              {columns.shown.map((column) => (
                <th key={column} scope="col" class={numeric(column) ? 'num' : ''} aria-sort={order === column ? (down ? 'descending' : 'ascending') : undefined} title={column.startsWith('p:') ? printable(column.slice(2)) : undefined}>
                  {sortable(column) ? (
                    <button type="button" onClick={() => sort(column)}>
                      {title(column)} {order === column ? (down ? '↓' : '↑') : ''}
                    </button>
                  ) : (
                    title(column)
                  )}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {first > 0 && <tr class="pad" aria-hidden="true"><td colSpan={columns.shown.length + 1} style={{ height: `${first * rowHeight}px` }} /></tr>}
            {rows.map((i) => {
              const trial = row(i);
              if (!trial)
                return (
                  <tr key={i} aria-rowindex={i + 2}>
                    <td colSpan={columns.shown.length + 1} class="dim">…</td>
                  </tr>
                );
              const best = sweep.best?.trial === trial.trial;
              return (
                <tr key={i} aria-rowindex={i + 2} class={best ? 'best' : ''} data-cursor={cursor.value === i || undefined} onClick={() => (cursor.value = i)} onDblClick={() => go(trialPath(sweep.sweep, trial.trial))}>
                  <td><input type="checkbox" aria-label={`${m.trials.columns.select} ${m.trial.title(trial.trial)}`} checked={here.includes(name(trial.trial))} onChange={() => pick(name(trial.trial))} /></td>
                  {columns.shown.map((column) => <Cell key={column} column={column} trial={trial} sweep={sweep} best={best} />)}
                </tr>
              );
            })}
            {total.value !== null && last < total.value - 1 && <tr class="pad" aria-hidden="true"><td colSpan={columns.shown.length + 1} style={{ height: `${(total.value - 1 - last) * rowHeight}px` }} /></tr>}
            {total.value === 0 && <tr><td colSpan={columns.shown.length + 1}>{m.trials.none}</td></tr>}
          </tbody>
        </table>
      </div>
    </>
  );
}

function numeric(column: string): boolean {
  return ['trial', 'best', 'last', 'reports', 'time'].includes(column);
}

export function why(trial: TrialRow): string {
  if (trial.stop) return `${trial.stop.policy} ${trial.stop.inequality}`;
  return trial.reason ?? '';
}

function Cell({ column, trial, sweep, best }: { column: string; trial: TrialRow; sweep: SweepRow; best: boolean }) {
  switch (column) {
    case 'trial':
      return <td class="num"><a href={trialPath(sweep.sweep, trial.trial)}>{trial.trial}</a></td>;
    case 'state':
      return <td><State state={trial.state} cause={trial.cause} best={best} /></td>;
    case 'best':
      return <td class={`num ${best ? 'strong' : ''}`} title={trial.best === null ? undefined : String(trial.best)}>{number(trial.best)}</td>;
    case 'last':
      return <td class="num phone-hide" title={trial.last ? String(trial.last.value) : undefined}>{number(trial.last?.value)}</td>;
    case 'reports':
      return <td class="num phone-hide">{count(trial.reports)}</td>;
    case 'time':
      return <td class="num phone-hide">{duration(trial.duration_ms)}</td>;
    case 'started':
    case 'ended':
      return <td class="phone-hide" title={trial[column] ?? undefined}>{time(trial[column])}</td>;
    case 'target':
      return <td class="phone-hide">{printable(trial.target ?? '', 60)}</td>;
    case 'why':
      return <td class="dim phone-full" title={printable(why(trial))}>{printable(why(trial), 300)}</td>;
    default: {
      const value = trial.parameters[column.slice(2)];
      return <td class={typeof value === 'number' ? 'num phone-hide' : 'phone-hide'} title={value === undefined ? undefined : printable(String(value))}>{value === undefined ? '' : number(value)}</td>;
    }
  }
}

/** All rows that fit, as CSV. */
export async function exportRows(sweep: SweepRow, where: string, names: string[]): Promise<void> {
  const head = ['trial', 'state', 'best', 'best_interval', 'reports', 'duration_ms', 'started', 'ended', ...names, 'reason'];
  const lines = [head.map(csvCell).join(',')];
  let cursor: string | null = '';
  while (cursor !== null) {
    const state = new URLSearchParams({ limit: '10000' });
    if (cursor) state.set('cursor', cursor);
    if (where.trim()) state.set('where', where);
    const answer: List<TrialRow> = await get<List<TrialRow>>(`${place`/sweeps/${sweep.sweep}/trials`}?${state}`);
    for (const trial of answer.items) {
      const cells = [trial.trial, trial.state, trial.best, trial.best_interval, trial.reports, trial.duration_ms, trial.started, trial.ended, ...names.map((name) => trial.parameters[name]), why(trial)];
      lines.push(cells.map(csvCell).join(','));
    }
    cursor = answer.next;
  }
  save(`${sweep.sweep}.csv`, lines.join('\r\n') + '\r\n', 'text/csv;charset=utf-8');
}
