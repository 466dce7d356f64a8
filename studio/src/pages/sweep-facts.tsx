// Policy, configuration and events of a sweep.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { get, place } from '../api';
import { Chart, type Model } from '../charts/chart';
import { type Series } from '../charts/lines';
import { area, axes, range } from '../charts/axes';
import { linear } from '../charts/scale';
import { count, lines, number, printable, time } from '../format';
import { m } from '../messages';
import { Copy, Loading, Trouble } from '../parts/ui';
import { go, trialPath } from '../router';
import type { EventRow, List, TrialRow } from '../types';
import type { SweepView } from '../view';

export type { Series };

export function PolicyTab({ view }: { view: SweepView }) {
  useEffect(() => view.needPoints(), [view]);
  const { sweep } = view.summary.value!;
  const detail = view.detail.value;
  const rows = useSignal<TrialRow[]>([]);
  useEffect(() => {
    get<List<TrialRow>>(`${place`/sweeps/${sweep.sweep}/trials`}?state=Canceled,CancelRequested&order=ended&reverse=true&limit=500`).then(
      (list) => (rows.value = list.items.filter((trial) => trial.stop)),
      () => undefined,
    );
  }, [sweep.sweep, sweep.stopped_by_policy]);
  if (!detail) return <Loading />;
  const none = String(detail.policy.type) === 'no_termination';
  const stops = view.points.value?.stops;
  const c = m.policy.columns;
  return (
    <>
      <section class="panel">
        <header>
          <h2>{none ? m.policy.none : printable(String(detail.policy.type), 60)}</h2>
          {!none && <span class="dim">{m.policy.stops(sweep.stopped_by_policy)}</span>}
        </header>
        {!none && (
          <dl class="kv">
            {Object.entries(detail.policy).filter(([key]) => key !== 'type').map(([key, value]) => (
              <>
                <dt class="mono">{printable(key, 60)}</dt>
                <dd>{printable(typeof value === 'object' ? JSON.stringify(value) : String(value), 200)}</dd>
              </>
            ))}
          </dl>
        )}
      </section>
      {stops && stops.trial.length > 0 && (
        <section class="panel">
          <Chart model={stopsModel(stops, sweep.metric ?? '', (trial) => go(trialPath(sweep.sweep, trial)))} height={280} version={stops.trial.length} toolbar={<h2>{m.policy.by}</h2>} />
        </section>
      )}
      {!none && (
        <div class="scroll tall" tabIndex={0} role="region" aria-label={c.inequality}>
          <table>
            <thead>
              <tr>
                <th scope="col" class="num">{c.trial}</th>
                <th scope="col" class="num">{c.interval}</th>
                <th scope="col" class="num">{c.value}</th>
                <th scope="col" class="num">{c.threshold}</th>
                <th scope="col" class="num">{c.gap}</th>
                <th scope="col">{c.inequality}</th>
              </tr>
            </thead>
            <tbody>
              {rows.value.map((trial) => {
                const stop = trial.stop!;
                const gap = stop.value !== null && stop.threshold !== null ? Math.abs(stop.threshold - stop.value) : null;
                return (
                  <tr key={trial.trial}>
                    <td class="num"><a href={trialPath(sweep.sweep, trial.trial)}>{trial.trial}</a></td>
                    <td class="num">{count(stop.interval)}</td>
                    <td class="num" title={String(stop.value)}>{number(stop.value)}</td>
                    <td class="num" title={String(stop.threshold)}>{number(stop.threshold)}</td>
                    <td class="num">{number(gap)}</td>
                    <td class="free">{printable(stop.inequality, 300)}</td>
                  </tr>
                );
              })}
              {!rows.value.length && <tr><td colSpan={6}>{m.policy.noStops}</td></tr>}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

interface Stops {
  trial: number[];
  interval: number[];
  value: (number | null)[];
  threshold: (number | null)[];
}

/** Value and threshold of every decision, joined: how near each one was. */
function stopsModel(stops: Stops, metric: string, open: (trial: number) => void): Model {
  let place: ((i: number) => [number, number, number]) | null = null;
  const model: Model = {
    name: `${m.policy.by} ${metric}`,
    caption: m.policy.stops(stops.trial.length),
    draw(painter, theme) {
      const box = area(painter.width, painter.height);
      const x = linear(0, Math.max(...stops.interval) + 1, box.left, box.left + box.width, 'whole');
      const all = [...stops.value, ...stops.threshold].filter((v): v is number => typeof v === 'number');
      const [low, high] = range(all, all.length > 60 ? 0.01 : 0);
      const y = linear(low, high, box.top + box.height, box.top);
      axes(painter, theme, box, x, y, m.policy.columns.interval, printable(metric, 60));
      place = (i) => [x.at(stops.interval[i]!), y.at(stops.value[i] ?? NaN), y.at(stops.threshold[i] ?? NaN)];
      painter.clip(box.left, box.top, box.width, box.height, () => {
        for (let i = Math.max(0, stops.trial.length - 2000); i < stops.trial.length; i++) {
          const [px, value, threshold] = place!(i);
          if (!Number.isNaN(value) && !Number.isNaN(threshold)) painter.line([px, value, px, threshold], { color: theme.muted, alpha: 0.5 });
          if (!Number.isNaN(threshold)) painter.mark('bar', px, threshold, 3, theme.text);
          if (!Number.isNaN(value)) painter.mark('square', px, value, 3, theme.warn);
        }
      });
    },
    probe(px, py) {
      if (!place) return null;
      let found = -1;
      let near = 400;
      stops.trial.forEach((_, i) => {
        const [x, y] = place!(i);
        const d = (x - px) ** 2 + (y - py) ** 2;
        if (d < near) {
          near = d;
          found = i;
        }
      });
      return found < 0 ? null : at(found);
    },
    walk(from, dx, dy) {
      const i = from?.key ? Number(from.key) : -1;
      return at(Math.max(0, Math.min(stops.trial.length - 1, i + (dx || dy))));
    },
    table: () => ({ columns: ['trial', 'interval', 'value', 'threshold'], rows: stops.trial.map((trial, i) => [trial, stops.interval[i], stops.value[i], stops.threshold[i]]) }),
  };
  const at = (i: number) => {
    const [x, y] = place!(i);
    return {
      x,
      y,
      key: String(i),
      title: m.trial.title(stops.trial[i]!),
      rows: [
        [m.policy.columns.interval, String(stops.interval[i])],
        [m.policy.columns.value, number(stops.value[i])],
        [m.policy.columns.threshold, number(stops.threshold[i])],
      ] as [string, string][],
      open: () => open(stops.trial[i]!),
    };
  };
  return model;
}

export function ConfigTab({ view }: { view: SweepView }) {
  const detail = view.detail.value;
  if (!detail) return <Loading />;
  const block = (title: string, value: unknown) => {
    const text = JSON.stringify(value, null, 2);
    return (
      <section class="panel">
        <header><h2>{title}</h2><span class="end"><Copy text={text} label={title} /></span></header>
        <div class="code" tabIndex={0} role="region" aria-label={title}>{lines(text)}</div>
      </section>
    );
  };
  return (
    <>
      <section class="panel">
        <header>
          <h2>{m.config.text}</h2>
          {detail.source && <span class="end"><Copy text={detail.source.text} label={m.config.text} /></span>}
        </header>
        {detail.source ? (
          <>
            <p class="dim mono wrap">{printable(detail.source.path, 400)}</p>
            <div class="code" tabIndex={0} role="region" aria-label={m.config.text}>{lines(detail.source.text)}</div>
          </>
        ) : (
          <p class="dim">{m.config.gone}</p>
        )}
      </section>
      <div class="grid-even">
        {block(m.config.space, detail.space)}
        {block(m.config.sampler, detail.sampler)}
        {block(m.config.policy, detail.policy)}
        {block(m.config.environment, detail.run_definition)}
      </div>
    </>
  );
}

export function EventsTab({ sweep, version, trial }: { sweep: string; version: number; trial?: number }) {
  const rows = useSignal<EventRow[] | null>(null);
  const next = useSignal<string | null>(null);
  const error = useSignal<unknown>(null);
  const load = async (cursor: string | null) => {
    const state = new URLSearchParams({ limit: '200' });
    if (cursor !== null) state.set('cursor', cursor);
    if (trial !== undefined) state.set('trial', String(trial));
    try {
      const list = await get<List<EventRow>>(`${place`/sweeps/${sweep}/history`}?${state}`);
      rows.value = cursor === null ? list.items : [...(rows.value ?? []), ...list.items];
      next.value = list.next;
    } catch (problem) {
      error.value = problem;
    }
  };
  useEffect(() => void load(null), [sweep, trial, version]);
  const c = m.events.columns;
  if (error.value && !rows.value) return <Trouble error={error.value} />;
  if (!rows.value) return <Loading />;
  return (
    <section class="panel">
      <div class="scroll tall" tabIndex={0} role="region" aria-label={m.sweep.tabs.events}>
        <table>
          <thead>
            <tr>
              <th scope="col">{c.time}</th>
              <th scope="col">{c.kind}</th>
              {trial === undefined && <th scope="col" class="num">{c.trial}</th>}
              <th scope="col">{c.what}</th>
            </tr>
          </thead>
          <tbody>
            {rows.value.map((event) => (
              <tr key={event.seq}>
                <td title={event.time}>{time(event.time)}</td>
                <td>{printable(event.type, 40)}</td>
                {trial === undefined && <td class="num">{event.trial === null ? '' : <a href={trialPath(sweep, event.trial)}>{event.trial}</a>}</td>}
                <td class="free">{printable(says(event), 400)}</td>
              </tr>
            ))}
            {!rows.value.length && <tr><td colSpan={4}>{m.events.none}</td></tr>}
          </tbody>
        </table>
      </div>
      {next.value !== null && <div><button type="button" class="button" onClick={() => void load(next.value)}>{m.events.older}</button></div>}
    </section>
  );
}

/** An event's record in words, as far as its fields say them. */
export function says(event: EventRow): string {
  const { data } = event;
  if (!data || typeof data !== 'object') return '';
  const parts: string[] = [];
  for (const [key, value] of Object.entries(data)) {
    if (['record', 'trial', 'origin', 'assignment', 'operands', 'change'].includes(key) || value === null) continue;
    parts.push(['state', 'reason', 'message', 'inequality'].includes(key) ? String(value) : `${key} ${typeof value === 'object' ? JSON.stringify(value) : typeof value === 'number' ? number(value) : String(value)}`);
  }
  return parts.join('  ');
}
