// The charts of a sweep, each with what it needs and what it says in words.
import { useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { get, getText, place } from '../api';
import { BarsModel } from '../charts/bars';
import { BestModel, type EndedTrial } from '../charts/best';
import { Chart } from '../charts/chart';
import { CurvesModel } from '../charts/curves';
import { type Brush, ParallelModel } from '../charts/parallel';
import { ScatterModel, kindsOf } from '../charts/scatter';
import { SurfaceModel } from '../charts/surface';
import { count, logText, number, percent, printable } from '../format';
import { m } from '../messages';
import { counts } from '../parts/progress';
import { Loading, State, Trouble, useLoad } from '../parts/ui';
import { go, query, setQuery, sweepPath, trialPath } from '../router';
import type { Points, Summary, Surface } from '../types';
import type { SweepView } from '../view';
import { LastChoices } from './sweep-news';

/** Before the first value: the state of each trial and what the first one printed. */
export function Waiting({ summary }: { summary: Summary }) {
  const { sweep, trials } = summary;
  const log = useSignal('');
  const first = trials.find((trial) => trial.folder !== null);
  useEffect(() => {
    if (!first) return;
    const load = () =>
      getText(`${place`/sweeps/${sweep.sweep}/trials/${first.trial}/log`}?offset=-3000`).then(
        (answer) => (log.value = logText(answer.text).split('\n').slice(-14).join('\n')),
        () => undefined,
      );
    void load();
    const beat = window.setInterval(load, 2000);
    return () => window.clearInterval(beat);
  }, [sweep.sweep, first?.trial]);
  return (
    <section class="panel">
      <header><h2>{sweep.metric ? m.sweep.waitingFor(printable(sweep.metric, 80)).replaceAll('`', '') : m.sweep.waiting}</h2></header>
      <div class="row">
        {trials.slice(0, 24).map((trial) => (
          <a key={trial.trial} href={trialPath(sweep.sweep, trial.trial)}>{trial.trial} <State state={trial.state} cause={trial.cause} /></a>
        ))}
      </div>
      {first && <h3>{m.sweep.lastLines(first.trial)}</h3>}
      {first && <div class="log" tabIndex={0} role="region" aria-label={m.trial.log}>{log.value || m.trial.logEmpty}</div>}
    </section>
  );
}

/** Ended trials in the order of their end. */
function ended(points: Points, created: string): EndedTrial[] {
  const start = Date.parse(created);
  const out: EndedTrial[] = [];
  const order = points.trial.map((_, i) => i).filter((i) => points.ended[i]);
  order.sort((a, b) => (points.ended[a]! < points.ended[b]! ? -1 : points.ended[a]! > points.ended[b]! ? 1 : points.trial[a]! - points.trial[b]!));
  // Of a sample, each stands for several.
  const scale = points.total / Math.max(1, points.trial.length);
  order.forEach((i, place) => {
    const value = points.best[i];
    if (typeof value === 'number') out.push({ trial: points.trial[i]!, order: Math.round((place + 1) * scale), ms: Date.parse(points.ended[i]!) - start, value, state: points.state[i]! });
  });
  return out;
}

export function BestPanel({ view }: { view: SweepView }) {
  useEffect(() => view.needPoints(), [view]);
  const summary = view.summary.value!;
  const { sweep, best_so_far: line } = summary;
  const by = query.value.get('x') === 'time' ? 'time' : 'trials';
  const points = view.points.value;
  const n = counts(sweep);
  const marks = useMemo(() => (points ? ended(points, sweep.created) : []), [points]);
  const last = line.at(-1);
  const caption = last ? m.chart.bestCaption(number(last[2]), n.ended, sweep.max_total_runs, Math.max(0, n.ended - last[0])) : m.chart.empty;
  const model = new BestModel(line, marks, by, { ended: n.ended, ms: sweep.duration_ms }, printable(sweep.metric ?? '', 60), caption, (trial) => go(trialPath(sweep.sweep, trial)));
  return (
    <section class="panel">
      <Chart
        model={model}
        height={330}
        version={`${by}|${last?.[0]}|${last?.[2]}|${n.ended}|${marks.length}|${by === 'time' ? sweep.duration_ms : 0}`}
        toolbar={
          <>
            <h2>{m.sweep.bestTitle}</h2>
            <label>
              {m.sweep.bestX}
              <select value={by} onChange={(event) => setQuery({ x: event.currentTarget.value === 'time' ? 'time' : null })}>
                <option value="trials">{m.sweep.byTrials}</option>
                <option value="time">{m.sweep.byTime}</option>
              </select>
            </label>
            <span class="legend"><span>● {m.state.Completed}</span><span class="warn">■ {m.chart.legendStop}</span></span>
          </>
        }
      />
    </section>
  );
}

export function CurvesPanel({ view, height }: { view: SweepView; height: number }) {
  const summary = view.summary.value!;
  const { sweep } = summary;
  const metric = query.value.get('metric') ?? sweep.metric ?? '';
  const primary = metric === sweep.metric;
  useEffect(() => {
    if (metric) view.needCurves(metric);
    view.needPoints();
  }, [view, metric]);
  useEffect(() => void view.needMetrics(), [view]);
  const again = useSignal(0);
  const curves = view.curves.value;
  const held = useRef<CurvesModel | null>(null);
  const logY = query.value.get('ylog') === '1';
  const zoom = query.value.get('zoom')?.split(',').map(Number) ?? null;
  const selected = (query.value.get('show') ?? '').split(',').filter(Boolean).map(Number);
  if (!curves || curves.metric !== metric) return <section class="panel"><h2>{m.sweep.curvesTitle}</h2><Loading text={m.loadingOf('…', count(Object.values(sweep.trials).reduce((a, b) => a + b, 0)), 'trials')} tall /></section>;
  view.shown = selected;
  if (held.current?.set !== curves.set) {
    const before = held.current;
    held.current = new CurvesModel(
      curves.set,
      printable(metric, 60),
      () => (again.value += 1),
      (trial) => go(trialPath(sweep.sweep, trial)),
      (next) => setQuery({ zoom: next ? next.map((v) => Number(v.toPrecision(6))).join(',') : null }),
    );
    // The old picture stands until there is a new one.
    if (before?.far && curves.far) held.current.density = before.density;
  }
  const model = held.current;
  model.goal = sweep.goal;
  model.bestTrial = primary ? (sweep.best?.trial ?? null) : null;
  model.stops = primary ? (view.points.value?.stops ?? null) : null;
  model.view = { logY, zoom: zoom?.length === 4 && zoom.every(Number.isFinite) ? (zoom as [number, number, number, number]) : null, selected };
  model.far = curves.far;
  model.version = view.curvesVersion.value;
  const n = curves.far ? (model.density?.curves ?? curves.far.count) : curves.set.trial.length;
  model.caption = `${m.chart.curvesCount(count(n))}${n > 40 ? `, ${m.chart.density}` : ''}${sweep.best && primary ? `, ${m.chart.legendBest} ${number(sweep.best.value)} (${m.sweep.chose(sweep.best.trial)})` : ''}`;
  return (
    <section class="panel">
      <Chart
        model={model}
        height={height}
        version={`${again.value}|${view.curvesVersion.value}|${logY}|${zoom}|${selected}|${sweep.best?.trial}|${view.points.value?.stops.trial.length}`}
        toolbar={
          <>
            <h2>{m.sweep.curvesTitle}</h2>
            {view.metrics.value.length > 1 && (
              <label>
                <span class="visually-hidden">{m.trial.metrics}</span>
                <select value={metric} onChange={(event) => setQuery({ metric: event.currentTarget.value === sweep.metric ? null : event.currentTarget.value, zoom: null })}>
                  {view.metrics.value.map((one) => <option key={one.name} value={one.name}>{printable(one.name, 60)}</option>)}
                </select>
              </label>
            )}
            <label><input type="checkbox" checked={logY} onChange={(event) => setQuery({ ylog: event.currentTarget.checked ? '1' : null, zoom: null })} /> {m.chart.log} y</label>
            {zoom && <button type="button" class="button small" onClick={() => setQuery({ zoom: null })}>{m.chart.reset}</button>}
            <span class="legend">
              {primary && <span class="strong">━ {m.chart.legendBest}</span>}
              <span class="run">┅ {m.chart.legendRunning}</span>
              {primary && <span class="warn">■ {m.chart.legendStop}</span>}
            </span>
          </>
        }
      />
    </section>
  );
}

export function ImportancePanel({ view, both }: { view: SweepView; both?: boolean }) {
  useEffect(() => view.needImportance(), [view]);
  const { sweep } = view.summary.value!;
  const data = view.importance.value;
  const method = query.value.get('method') ?? 'fANOVA';
  if (!data) return <section class="panel"><h2>{m.sweep.importanceTitle}</h2><Loading /></section>;
  if (data.missing)
    return (
      <section class="panel">
        <h2>{m.sweep.importanceTitle}</h2>
        <p class="dim">{printable(data.missing, 300)}</p>
      </section>
    );
  const shown = both ? data.methods : data.methods.filter((one) => one.method === method).slice(0, 1);
  return (
    <section class="panel">
      <header>
        <h2>{m.sweep.importanceTitle}</h2>
        {!both && (
          <span class="end">
            <label class="visually-hidden" for="importance-method">{m.sweep.importanceTitle}</label>
            <select id="importance-method" value={method} onChange={(event) => setQuery({ method: event.currentTarget.value === 'fANOVA' ? null : event.currentTarget.value })}>
              {data.methods.map((one) => <option key={one.method}>{one.method}</option>)}
            </select>
          </span>
        )}
      </header>
      <div class={both ? 'grid-even' : ''}>
        {shown.map((one) => {
          const bars = one.items.slice(0, both ? 40 : 10).map((item) => ({ name: item.parameter, share: item.share, spread: item.spread ?? null }));
          const first = bars[0];
          const caption = first ? m.chart.importanceCaption(printable(first.name, 60), percent(first.share), data.trials) : m.chart.empty;
          const model = new BarsModel(`${m.sweep.importanceTitle} ${one.method}`, caption, bars, (name) => go(`${sweepPath(sweep.sweep, 'params')}?slice=${encodeURIComponent(name)}`));
          return <Chart key={one.method} model={model} height={BarsModel.height(bars.length)} version={`${data.trials}|${one.method}`} toolbar={both ? <h3>{one.method}</h3> : undefined} />;
        })}
      </div>
    </section>
  );
}

function readBrush(text: string | null): Brush {
  try {
    const parsed = JSON.parse(text ?? '{}') as Brush;
    return Object.fromEntries(Object.entries(parsed).filter(([, range]) => Array.isArray(range) && range.length === 2 && range.every(Number.isFinite)));
  } catch {
    return {};
  }
}

export function ParamsTab({ view, names }: { view: SweepView; names: string[] }) {
  useEffect(() => view.needPoints(), [view]);
  const { sweep } = view.summary.value!;
  const points = view.points.value;
  const again = useSignal(0);
  const brushText = query.value.get('brush');
  const xName = query.value.get('px') ?? query.value.get('slice') ?? names[0] ?? '';
  const yName = query.value.get('py') ?? '';
  const metric = sweep.metric ?? 'best';
  const shownMetric = printable(metric, 60);
  const kinds = useMemo(() => kindsOf(view.detail.value?.space.parameters ?? []), [view.detail.value]);
  const model = useMemo(() => {
    if (!points) return null;
    return new ParallelModel(
      points,
      names.filter((name) => name in points.parameters).slice(0, 24),
      shownMetric,
      sweep.best?.trial ?? null,
      {},
      () => (again.value += 1),
      (brush) => setQuery({ brush: Object.keys(brush).length ? JSON.stringify(brush, (_, v: unknown) => (typeof v === 'number' ? Number(v.toPrecision(6)) : v)) : null }),
      (trial) => go(trialPath(sweep.sweep, trial)),
      kinds,
    );
  }, [points, names, kinds]);
  if (!points || !model) return <Loading tall />;
  model.setBrush(readBrush(brushText));
  const expression = model.expression();
  model.caption = `${m.chart.brushed(model.kept, points.trial.length)}. ${m.chart.brush}`;
  const column = (name: string) => (name === metric || name === '' ? { name: metric, values: points.best } : { name, values: points.parameters[name] ?? [] });
  const scatter = (x: string, y: string) =>
    new ScatterModel(`${x} ${y || metric}`, `${printable(x, 60)} × ${printable(y || metric, 60)}`, column(x), column(y), points.best, points.trial, points.state, points.goal, metric, sweep.best?.trial ?? null, (trial) => go(trialPath(sweep.sweep, trial)), kinds);
  return (
    <>
      <section class="panel">
        <Chart
          model={model}
          height={380}
          version={`${again.value}|${points.trial.length}|${brushText}|${points.best.length}|${sweep.best?.trial}`}
          toolbar={
            <>
              <h2>{m.sweep.tabs.params}</h2>
              {expression && <a class="button small" href={`${sweepPath(sweep.sweep, 'trials')}?where=${encodeURIComponent(expression)}`}>{m.chart.toTable}</a>}
              {brushText && <button type="button" class="button small" onClick={() => setQuery({ brush: null })}>{m.chart.reset}</button>}
            </>
          }
        />
      </section>
      <section class="panel">
        <Chart
          model={scatter(xName, yName)}
          height={340}
          version={`${xName}|${yName}|${points.trial.length}|${sweep.best?.trial}`}
          toolbar={
            <>
              <label>
                {m.chart.x}
                <select value={xName} onChange={(event) => setQuery({ px: event.currentTarget.value, slice: null })}>
                  {names.map((name) => <option key={name} value={name}>{printable(name, 60)}</option>)}
                </select>
              </label>
              <label>
                {m.chart.y}
                <select value={yName} onChange={(event) => setQuery({ py: event.currentTarget.value || null })}>
                  <option value="">{shownMetric}</option>
                  {names.map((name) => <option key={name} value={name}>{printable(name, 60)}</option>)}
                </select>
              </label>
              <span class="legend"><span>{m.chart.colour}: {shownMetric}</span><span>▲ {m.chart.legendBest}</span></span>
            </>
          }
        />
      </section>
      <section class="grid-small" aria-label={m.sweep.tabs.params}>
        {names.filter((name) => name in points.parameters).slice(0, 24).map((name) => (
          <div key={name} class="panel">
            <Chart model={scatter(name, '')} height={200} version={`${points.trial.length}|${sweep.best?.trial}`} toolbar={<h3 class="wrap">{printable(name, 60)}</h3>} />
          </div>
        ))}
      </section>
    </>
  );
}

export function ModelTab({ view, names }: { view: SweepView; names: string[] }) {
  useEffect(() => {
    view.needPoints();
    view.needImportance();
  }, [view]);
  const { sweep } = view.summary.value!;
  const important = view.importance.value?.methods.at(-1)?.items.map((item) => item.parameter).filter((name) => names.includes(name)) ?? [];
  const x = query.value.get('sx') ?? important[0] ?? names[0] ?? '';
  const y = query.value.get('sy') ?? important.find((name) => name !== x) ?? names.find((name) => name !== x) ?? '';
  const what = query.value.get('what') === 'deviation' ? 'deviation' : 'mean';
  const ready = x !== '' && y !== '' && x !== y && (view.importance.value !== null || query.value.has('sx'));
  const surface = useLoad<Surface | null>(ready ? `${sweep.sweep}|${x}|${y}|${Math.floor(counts(sweep).ended / 10)}` : '', (signal) =>
    ready ? get<Surface>(`${place`/sweeps/${sweep.sweep}/surface`}?x=${encodeURIComponent(x)}&y=${encodeURIComponent(y)}`, signal) : Promise.resolve(null),
  );
  const points = view.points.value;
  const data = surface.value;
  const trials = points && data ? points.trial.map((trial, i) => ({ trial, x: points.parameters[x]?.[i] ?? null, y: points.parameters[y]?.[i] ?? null, best: points.best[i] ?? null })).slice(-2000) : [];
  const choose = (label: string, value: string, name: string) => (
    <label>
      {label}
      <select value={value} onChange={(event) => setQuery({ [name]: event.currentTarget.value, ...(name === 'sx' ? { sy: y } : { sx: x }) })}>
        {names.map((one) => <option key={one} value={one}>{printable(one, 60)}</option>)}
      </select>
    </label>
  );
  return (
    <div class="grid-2">
      <section class="panel">
        <div class="toolbar">
          <h2>{m.sweep.tabs.model}</h2>
          {choose(m.chart.x, x, 'sx')}
          {choose(m.chart.y, y, 'sy')}
          <select aria-label={m.sweep.tabs.model} value={what} onChange={(event) => setQuery({ what: event.currentTarget.value === 'mean' ? null : event.currentTarget.value })}>
            <option value="mean">{m.chart.mean} {printable(sweep.metric ?? '', 40)}</option>
            <option value="deviation">{m.chart.deviation}</option>
          </select>
        </div>
        {names.length < 2 ? (
          <p class="dim">{m.chart.need}</p>
        ) : surface.error ? (
          <Trouble error={surface.error} again={surface.again} />
        ) : data ? (
          <Chart model={new SurfaceModel(data, what, trials, sweep.metric ?? '', m.chart.modelCaption(data.model, data.trials))} height={420} version={`${x}|${y}|${what}|${data.trials}|${trials.length}`} />
        ) : (
          <Loading tall />
        )}
      </section>
      <LastChoices sweep={sweep} version={view.rowsVersion.value} many />
    </div>
  );
}
