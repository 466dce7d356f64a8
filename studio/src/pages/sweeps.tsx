// All sweeps: what goes on as cards, everything as a table.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { get } from '../api';
import { count, duration, number, parameters, printable, shortId, time } from '../format';
import { useKeys } from '../keys';
import { follow, throttle } from '../live';
import { m } from '../messages';
import { Progress } from '../parts/progress';
import { Copy, Loading, Spark, State, Title, Trouble } from '../parts/ui';
import { go, query, setQuery, sweepPath } from '../router';
import { settings } from '../settings';
import { draft, form } from '../draft';
import type { List, SweepItem } from '../types';
import { money } from '../parts/answers';

/** Sweeps that the list holds. */
const SHOWN_MAX = 10_000;
const LIVE = ['Running', 'Paused', 'CancelRequested'];

export function Sweeps() {
  const list = useSignal<SweepItem[] | null>(null);
  const error = useSignal<unknown>(null);
  const cursor = useSignal(0);
  const chosen = useSignal<string[]>([]);
  const dropping = useSignal(false);
  const archived = query.value.get('archived') === '1';

  useEffect(() => {
    const stop = new AbortController();
    const load = async () => {
      try {
        const items: SweepItem[] = [];
        let cursor: string | null = '';
        while (cursor !== null && items.length < SHOWN_MAX) {
          const page: List<SweepItem> = await get<List<SweepItem>>(`/sweeps?limit=500${archived ? '&archived=true' : ''}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`, stop.signal);
          items.push(...page.items);
          cursor = page.next;
          // What is there is shown; the rest follows.
          if (!list.value) list.value = [...items];
        }
        list.value = items;
        error.value = null;
      } catch (problem) {
        if (!stop.signal.aborted) error.value = problem;
      }
    };
    void load();
    const beat = throttle(1500, load);
    const stream = follow(null, null, beat.now, beat.now);
    return () => {
      stop.abort();
      beat.stop();
      stream.close();
    };
  }, [archived]);

  const words = query.value.get('q') ?? '';
  const sort = query.value.get('sort') ?? '';
  const all = list.value ?? [];
  const rows = sorted(all.filter((row) => fits(row, words)), sort);
  const running = rows.filter((row) => LIVE.includes(row.state));

  useKeys({
    j: () => void (cursor.value = Math.max(0, Math.min(rows.length - 1, cursor.value + 1))),
    k: () => void (cursor.value = Math.max(0, cursor.value - 1)),
    Enter: () => rows[cursor.value] && go(sweepPath(rows[cursor.value]!.sweep)),
    x: () => rows[cursor.value] && toggle(rows[cursor.value]!.sweep),
    c: () => chosen.value.length > 0 && go(`/compare?sweeps=${chosen.value.map(encodeURIComponent).join(',')}`),
    r: () => setQuery({ q: words.includes('state:running') ? null : 'state:running' }),
  });

  const toggle = (sweep: string) => {
    chosen.value = chosen.value.includes(sweep) ? chosen.value.filter((other) => other !== sweep) : [...chosen.value, sweep].slice(-12);
  };

  const drop = async (event: DragEvent) => {
    event.preventDefault();
    dropping.value = false;
    const file = event.dataTransfer?.files[0];
    if (!file || file.size > 4 << 20) return;
    draft.value = { name: file.name, text: await file.text() };
    form.value = null;
    go('/new');
  };

  if (!list.value) return error.value ? <Trouble error={error.value} /> : <Loading text={m.loading} tall />;
  const c = m.sweeps.columns;
  const head = (name: string, text: string, className = '') => {
    const now = sort.replace('-', '') === name ? (sort.startsWith('-') ? 'descending' : 'ascending') : 'none';
    return (
      <th scope="col" class={className} aria-sort={now as 'none'}>
        <button type="button" onClick={() => setQuery({ sort: sort === `-${name}` ? name : `-${name}` })}>
          {text} {now === 'ascending' ? '↑' : now === 'descending' ? '↓' : ''}
        </button>
      </th>
    );
  };
  return (
    <div
      class={dropping.value ? 'dropping' : ''}
      style={{ display: 'grid', gap: '16px', gridTemplateColumns: 'minmax(0, 1fr)' }}
      onDragOver={(event) => {
        event.preventDefault();
        dropping.value = true;
      }}
      onDragLeave={(event) => {
        if (event.target === event.currentTarget) dropping.value = false;
      }}
      onDrop={(event) => void drop(event)}
    >
      <div class="head">
        <Title text={m.sweeps.title} />
        <div class="end">
          {chosen.value.length > 0 && (
            <a class="button small" href={`/compare?sweeps=${chosen.value.map(encodeURIComponent).join(',')}`}>
              {m.sweeps.compare(chosen.value.length)}
            </a>
          )}
          <input type="search" aria-label={m.sweeps.filter} placeholder={m.sweeps.filterHint} value={words} onInput={(event) => setQuery({ q: event.currentTarget.value })} style={{ width: '240px' }} />
          <label class="check">
            <input type="checkbox" checked={archived} onChange={(event) => setQuery({ archived: event.currentTarget.checked ? '1' : null })} /> {m.sweeps.archived}
          </label>
        </div>
      </div>
      {error.value ? <Trouble error={error.value} /> : null}
      {all.length === 0 ? (
        <div class="panel empty">
          <h2>{m.sweeps.empty}</h2>
          <p>{m.sweeps.emptyHelp}</p>
          <p class="row"><code>{m.sweeps.emptyCommand}</code> <Copy text={m.sweeps.emptyCommand} /></p>
          <a class="button primary" href="/new">{m.nav.create}</a>
          <p class="note">{m.sweeps.drop}</p>
        </div>
      ) : (
        <>
          {running.length > 0 && (
            <section aria-label={m.sweeps.running} class="cards">
              {running.slice(0, 12).map((row) => (
                <Card key={row.sweep} row={row} />
              ))}
            </section>
          )}
          <div class="scroll" tabIndex={0} role="region" aria-label={m.sweeps.all}>
            <table>
              <thead>
                <tr>
                  <th scope="col"><span class="visually-hidden">{c.select}</span></th>
                  {head('state', c.state)}
                  {head('name', c.name)}
                  {head('trials', c.trials, 'num')}
                  {head('best', c.best, 'num')}
                  <th scope="col" class="wide-only">{c.curve}</th>
                  <th scope="col" class="num wide-only">{c.eta}</th>
                  {head('time', c.time, 'num wide-only')}
                  {head('cost', m.sweep.cost, 'num wide-only')}
                  {head('created', c.created, 'wide-only')}
                  <th scope="col" class="wide-only">{c.tags}</th>
                </tr>
              </thead>
              <tbody>
                {rows.map((row, i) => (
                  <tr key={row.sweep} data-cursor={cursor.value === i || undefined} onDblClick={() => go(sweepPath(row.sweep))}>
                    <td><input type="checkbox" aria-label={`${c.select} ${printable(row.experiment, 60)} ${shortId(row.sweep)}`} checked={chosen.value.includes(row.sweep)} onChange={() => toggle(row.sweep)} /></td>
                    <td><State state={row.state} /></td>
                    <td title={row.sweep}>
                      <a href={sweepPath(row.sweep)}>{printable(row.display_name ?? row.experiment, 80)}</a> <span class="dim mono">{shortId(row.sweep)}</span>
                    </td>
                    <td class="num">{ended(row)}/{count(row.max_total_runs)}</td>
                    <td class="num" title={row.best ? `${String(row.best.value)}  ${parameters(row.best.parameters)}` : undefined}>{row.best ? number(row.best.value) : '–'}</td>
                    <td class="wide-only"><Spark values={row.spark} label={`${c.curve}: ${row.spark.length ? `${number(row.spark[0])} … ${number(row.spark.at(-1))}` : m.none}`} /></td>
                    <td class="num wide-only">{row.eta ? duration(row.eta.middle_ms) : '–'}</td>
                    <td class="num wide-only">{duration(row.duration_ms)}</td>
                    <td class="num wide-only">{row.cost ? money(row.cost, 'spent', settings.value) : '–'}</td>
                    <td class="wide-only" title={row.created}>{time(row.created)}</td>
                    <td class="wide-only">
                      {Object.entries(row.tags).slice(0, 3).map(([key, value]) => (
                        <button key={key} type="button" class="tag" onClick={() => setQuery({ q: `tag:${key}` })}>{printable(key, 30)}={printable(value, 30)}</button>
                      ))}
                    </td>
                  </tr>
                ))}
                {rows.length === 0 && (
                  <tr><td colSpan={11}>{m.sweeps.noMatch}</td></tr>
                )}
              </tbody>
            </table>
          </div>
          <p class="note">{m.sweeps.count(rows.length, all.length)}</p>
        </>
      )}
    </div>
  );
}

function Card({ row }: { row: SweepItem }) {
  return (
    <a class="card" href={sweepPath(row.sweep)}>
      <div class="row">
        <strong class="wrap">{printable(row.display_name ?? row.experiment, 60)}</strong>
        <State state={row.state} />
        <span class="end dim mono">{shortId(row.sweep)}</span>
      </div>
      <Progress sweep={row} />
      <div class="row">
        <span class="strong">▲ {row.best ? number(row.best.value) : '–'}</span>
        <span class="dim wrap">{row.metric ? printable(row.metric, 40) : ''}{row.best ? `, ${m.sweep.chose(row.best.trial)}` : ''}</span>
        <span class="end dim">{row.eta ? `${m.sweep.eta} ${duration(row.eta.middle_ms)}` : duration(row.duration_ms)}</span>
      </div>
      <Spark values={row.spark} label={m.sweep.bestTitle} />
      <div class="row dim">
        {(row.trials.Failed ?? 0) > 0 && <span class="bad">✗ {m.sweep.failedCount(row.trials.Failed ?? 0)}</span>}
        {row.stopped_by_policy > 0 && <span class="warn">■ {m.sweep.stopped(row.stopped_by_policy)}</span>}
        {!row.led && <span class="bad">{m.sweep.unled}</span>}
        <span class="end">{row.cost ? money(row.cost, 'spent', settings.value) : ''}</span>
      </div>
    </a>
  );
}

function ended(row: SweepItem): string {
  return count((row.trials.Completed ?? 0) + (row.trials.Failed ?? 0) + (row.trials.Canceled ?? 0));
}

function fits(row: SweepItem, words: string): boolean {
  return words.toLowerCase().split(/\s+/).filter(Boolean).every((word) => {
    if (word.startsWith('state:')) return row.state.toLowerCase().startsWith(word.slice(6));
    if (word.startsWith('tag:')) return Object.entries(row.tags).some(([key, value]) => `${key}=${value}`.toLowerCase().includes(word.slice(4)));
    return `${row.sweep} ${row.experiment} ${row.display_name ?? ''} ${row.metric ?? ''} ${row.notes ?? ''} ${row.file ?? ''}`.toLowerCase().includes(word);
  });
}

function sorted(rows: SweepItem[], sort: string): SweepItem[] {
  const name = sort.replace('-', '');
  const keys: Record<string, (row: SweepItem) => number | string> = {
    state: (row) => row.state,
    name: (row) => (row.display_name ?? row.experiment).toLowerCase(),
    trials: (row) => row.max_total_runs,
    best: (row) => (typeof row.best?.value === 'number' ? row.best.value : NaN),
    time: (row) => row.duration_ms,
    cost: (row) => row.cost?.spent_ms ?? 0,
    created: (row) => row.created,
  };
  const key = keys[name];
  if (!key) return rows;
  const sign = sort.startsWith('-') ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [ka, kb] = [key(a), key(b)];
    if (typeof ka === 'number' && typeof kb === 'number') {
      if (Number.isNaN(ka)) return 1;
      if (Number.isNaN(kb)) return -1;
      return sign * (ka - kb);
    }
    return sign * String(ka).localeCompare(String(kb));
  });
}
