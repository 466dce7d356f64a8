// Trials or sweeps side by side: what differs, and the curves over each other.
import { useEffect } from 'preact/hooks';
import { get, place } from '../api';
import { Chart } from '../charts/chart';
import { LinesModel } from '../charts/lines';
import { count, duration, number, printable, shortId } from '../format';
import { money } from '../parts/answers';
import { settings } from '../settings';
import { m } from '../messages';
import { Loading, State, Title, Trouble, Words, csvCell, save, useLoad } from '../parts/ui';
import { go, query, setQuery, sweepPath, trialPath } from '../router';
import { picked } from '../state';
import type { List, MetricPoint, Summary, SweepRow, TrialDetail } from '../types';
import { ratio } from './trial';

interface Side {
  key: string;
  sweep: SweepRow;
  trial: TrialDetail;
  curve: MetricPoint[];
}

const MOST = 12;

export function Compare() {
  const trials = (query.value.get('trials') ?? query.value.get('runs') ?? picked.value.join(',')).split(',').filter(Boolean).slice(0, MOST);
  const sweeps = (query.value.get('sweeps') ?? '').split(',').filter(Boolean).slice(0, MOST);
  return (
    <>
      <div class="head"><Title text={m.compare.title} /></div>
      {sweeps.length > 0 && <SweepsCompared ids={sweeps} />}
      {trials.length > 0 && <TrialsCompared names={trials} />}
      {!sweeps.length && !trials.length && (
        <div class="panel empty">
          <p><Words text={m.compare.empty} /></p>
          <p>{m.compare.emptySweeps}</p>
        </div>
      )}
    </>
  );
}

function split(name: string): [string, number] {
  const dot = name.lastIndexOf('.');
  return [name.slice(0, dot), Number(name.slice(dot + 1))];
}

function TrialsCompared({ names }: { names: string[] }) {
  const loaded = useLoad<Side[]>(names.join(','), (signal) =>
    Promise.all(
      names.map(async (key) => {
        const [id, number] = split(key);
        const base = place`/sweeps/${id}/trials/${number}`;
        const [sweep, trial] = await Promise.all([get<SweepRow>(place`/sweeps/${id}`, signal), get<TrialDetail>(base, signal)]);
        const curve = sweep.metric ? (await get<List<MetricPoint>>(`${base}/curve`, signal)).items : [];
        return { key, sweep, trial, curve };
      }),
    ),
  );
  useEffect(() => {
    if (!query.value.has('trials')) setQuery({ trials: names.join(',') });
  }, []);
  if (loaded.error) return <Trouble error={loaded.error} again={loaded.again} />;
  const sides = loaded.value;
  if (!sides) return <Loading tall />;
  const onlyDifferent = query.value.get('all') !== '1';
  const baseKey = query.value.get('base') ?? sides[0]?.key;
  const base = sides.find((side) => side.key === baseKey) ?? sides[0]!;
  const one = new Set(sides.map((side) => side.sweep.sweep)).size === 1;
  const title = (side: Side) => `${side.trial.trial}${one ? '' : ` ${shortId(side.sweep.sweep)}`}`;
  const names2 = [...new Set(sides.flatMap((side) => Object.keys(side.trial.parameters)))];
  const text = (value: unknown) => (value === undefined ? '' : JSON.stringify(value));
  const different = names2.filter((name) => new Set(sides.map((side) => text(side.trial.parameters[name]))).size > 1);
  const shown = onlyDifferent ? different : names2;
  const remove = (key: string) => {
    const rest = names.filter((name) => name !== key);
    picked.value = picked.value.filter((name) => name !== key);
    setQuery({ trials: rest.join(',') });
  };
  const facts = [...new Set(sides.flatMap((side) => Object.keys(side.trial.environment)))];
  const rows: { name: string; cells: string[]; full: string[] }[] = [
    { name: base.sweep.metric ?? m.trial.value, cells: sides.map((side) => value(side.trial.best, base.trial.best, side === base)), full: sides.map((side) => String(side.trial.best ?? '')) },
    ...shown.map((name) => ({
      name,
      cells: sides.map((side) => (side === base ? number(side.trial.parameters[name]) : relation(side.trial.parameters[name], base.trial.parameters[name]))),
      full: sides.map((side) => text(side.trial.parameters[name]) ?? ''),
    })),
    { name: m.trials.columns.time!, cells: sides.map((side) => duration(side.trial.duration_ms)), full: sides.map((side) => String(side.trial.duration_ms ?? '')) },
    { name: m.trials.columns.reports!, cells: sides.map((side) => count(side.trial.reports)), full: sides.map((side) => String(side.trial.reports)) },
    { name: m.trial.why, cells: sides.map((side) => printable(side.trial.stop?.inequality ?? side.trial.reason ?? '', 160)), full: sides.map((side) => side.trial.reason ?? '') },
    ...facts
      .filter((fact) => !onlyDifferent || new Set(sides.map((side) => side.trial.environment[fact])).size > 1)
      .map((fact) => ({ name: fact, cells: sides.map((side) => printable(side.trial.environment[fact] ?? '', 80)), full: sides.map((side) => side.trial.environment[fact] ?? '') })),
  ];
  const model = new LinesModel(
    sides.map((side, i) => ({ name: title(side), color: i, x: side.curve.map((point) => point.step), y: side.curve.map((point) => (typeof point.value === 'number' ? point.value : NaN)), open: () => go(trialPath(side.sweep.sweep, side.trial.trial)) })),
    { name: m.compare.curves, caption: sides.map((side) => `${title(side)}: ${number(side.trial.best)}`).join(', '), xName: m.trial.step, yName: printable(base.sweep.metric ?? '', 60), logY: query.value.get('ylog') === '1' },
  );
  return (
    <>
      <section class="panel">
        <Chart
          model={model}
          height={320}
          version={`${names.join(',')}|${query.value.get('ylog')}`}
          toolbar={
            <>
              <h2>{m.compare.curves}</h2>
              <label><input type="checkbox" checked={query.value.get('ylog') === '1'} onChange={(event) => setQuery({ ylog: event.currentTarget.checked ? '1' : null })} /> {m.chart.log} y</label>
            </>
          }
        />
      </section>
      <section class="panel">
        <div class="toolbar">
          <label><input type="checkbox" checked={onlyDifferent} onChange={(event) => setQuery({ all: event.currentTarget.checked ? null : '1' })} /> {m.compare.differences}</label>
          <label>
            {m.compare.baseline}
            <select value={base.key} onChange={(event) => setQuery({ base: event.currentTarget.value })}>
              {sides.map((side) => <option key={side.key} value={side.key}>{title(side)}</option>)}
            </select>
          </label>
          {onlyDifferent && names2.length > different.length && <span class="dim">{m.compare.equal(names2.length - different.length)}</span>}
          <button
            type="button"
            class="button small"
            onClick={() => save('compare.csv', [['', ...sides.map(title)], ...rows.map((row) => [row.name, ...row.full])].map((row) => row.map(csvCell).join(',')).join('\r\n'), 'text/csv;charset=utf-8')}
          >
            CSV
          </button>
        </div>
        <div class="scroll" tabIndex={0} role="region" aria-label={m.compare.title}>
          <table>
            <thead>
              <tr>
                <td />
                {sides.map((side) => (
                  <th key={side.key} scope="col" class="num">
                    <a href={trialPath(side.sweep.sweep, side.trial.trial)}>{title(side)}</a> <State state={side.trial.state} cause={side.trial.cause} best={side.sweep.best?.trial === side.trial.trial} />{' '}
                    <button type="button" class="link-button" aria-label={m.compare.remove(title(side))} onClick={() => remove(side.key)}>×</button>
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.name}>
                  <th scope="row" class="mono">{printable(row.name, 80)}</th>
                  {row.cells.map((cell, i) => <td key={i} class="num" title={printable(row.full[i] ?? '')}>{cell}</td>)}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </section>
    </>
  );
}

function value(one: number | null, other: number | null, base: boolean): string {
  if (one === null) return '–';
  if (base || other === null) return number(one);
  const by = one - other;
  return `${by >= 0 ? '+' : '-'}${number(Math.abs(by))}`;
}

function relation(one: unknown, other: unknown): string {
  if (one === undefined) return '–';
  if (JSON.stringify(one) === JSON.stringify(other)) return '=';
  const times = ratio(one, other).split(' (')[0]!;
  return times.startsWith('×') ? `${number(one)}  ${times.replace('× ', '×')}` : number(one);
}

function SweepsCompared({ ids }: { ids: string[] }) {
  const loaded = useLoad<Summary[]>(ids.join(','), (signal) => Promise.all(ids.map((id) => get<Summary>(place`/sweeps/${id}/summary`, signal))));
  if (loaded.error) return <Trouble error={loaded.error} again={loaded.again} />;
  const all = loaded.value;
  if (!all) return <Loading tall />;
  const byTime = query.value.get('x') === 'time';
  const title = (summary: Summary) => `${printable(summary.sweep.display_name ?? summary.sweep.experiment, 40)} ${shortId(summary.sweep.sweep)}`;
  const model = new LinesModel(
    all.map((summary, i) => {
      const line = summary.best_so_far;
      const ended = Object.entries(summary.sweep.trials).reduce((sum, [state, n]) => sum + (['Completed', 'Failed', 'Canceled'].includes(state) ? n : 0), 0);
      const last = line.at(-1);
      const x = line.map((point) => (byTime ? point[1] : point[0]));
      const y = line.map((point) => point[2]);
      if (last) {
        x.push(byTime ? summary.sweep.duration_ms : ended);
        y.push(last[2]);
      }
      return { name: title(summary), color: i, x, y, steps: true, open: () => go(sweepPath(summary.sweep.sweep)) };
    }),
    { name: m.compare.sweepsBest, caption: all.map((summary) => `${title(summary)}: ${number(summary.sweep.best?.value)}`).join(', '), xName: byTime ? m.sweep.byTime : m.sweep.byTrials, yName: '', time: byTime },
  );
  const rows: [string, (summary: Summary) => string][] = [
    [m.sweep.best, (s) => number(s.sweep.best?.value)],
    [m.create.metric, (s) => `${printable(s.sweep.metric ?? '', 60)} ${s.sweep.goal ?? ''}`],
    [m.sweeps.columns.trials, (s) => `${count(Object.values(s.sweep.trials).reduce((a, b) => a + b, 0))} / ${count(s.sweep.max_total_runs)}`],
    [m.chart.legendStop, (s) => count(s.sweep.stopped_by_policy)],
    [m.sweeps.columns.time, (s) => duration(s.sweep.duration_ms)],
    [m.sweep.cost, (s) => (s.cost ? (money(s.cost, 'spent', settings.value) ?? '–') : '–')],
    [m.sweeps.columns.tags, (s) => printable(Object.entries(s.sweep.tags).map(([k, v]) => `${k}=${v}`).join(' '), 120)],
  ];
  return (
    <>
      <section class="panel">
        <Chart
          model={model}
          height={320}
          version={`${ids.join(',')}|${byTime}`}
          toolbar={
            <>
              <h2>{m.compare.sweepsBest}</h2>
              <label>
                {m.sweep.bestX}
                <select value={byTime ? 'time' : 'trials'} onChange={(event) => setQuery({ x: event.currentTarget.value === 'time' ? 'time' : null })}>
                  <option value="trials">{m.sweep.byTrials}</option>
                  <option value="time">{m.sweep.byTime}</option>
                </select>
              </label>
            </>
          }
        />
      </section>
      <div class="scroll" tabIndex={0} role="region" aria-label={m.compare.title}>
        <table>
          <thead>
            <tr>
              <td />
              {all.map((summary) => <th key={summary.sweep.sweep} scope="col" class="num"><a href={sweepPath(summary.sweep.sweep)}>{title(summary)}</a> <State state={summary.sweep.state} /></th>)}
            </tr>
          </thead>
          <tbody>
            {rows.map(([name, cell]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                {all.map((summary) => <td key={summary.sweep.sweep} class="num">{cell(summary)}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}
