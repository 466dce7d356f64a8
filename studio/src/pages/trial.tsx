// One trial: what it reached, why it ended, what it was, what it printed.
import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { get, getText, place } from '../api';
import { Chart } from '../charts/chart';
import { LinesModel } from '../charts/lines';
import { count, duration, logText, number, printable, shortId, time } from '../format';
import { useKeys } from '../keys';
import { follow, throttle } from '../live';
import { m } from '../messages';
import { actOnTrial } from '../parts/actions';
import { Copy, Loading, State, Trouble, ask } from '../parts/ui';
import { go, query, setQuery, sweepPath, trialPath } from '../router';
import { pick, picked, readOnly } from '../state';
import type { List, MetricPoint, SweepRow, TrialDetail } from '../types';
import { EventsTab } from './sweep-facts';
import { Files, Images } from './trial-files';
import { Logged } from './trial-logged';

const TABS = ['', 'metrics', 'logs', 'files', 'config', 'history'] as const;
const ENDED = ['Completed', 'Failed', 'Canceled'];

export function TrialPage({ sweep, trial, tab }: { sweep: string; trial: number; tab: string }) {
  const detail = useSignal<TrialDetail | null>(null);
  const row = useSignal<SweepRow | null>(null);
  const error = useSignal<unknown>(null);
  const version = useSignal(0);
  const base = place`/sweeps/${sweep}/trials/${trial}`;
  useEffect(() => {
    const stop = new AbortController();
    const load = async () => {
      try {
        const [one, all] = await Promise.all([get<TrialDetail>(base, stop.signal), get<SweepRow>(place`/sweeps/${sweep}`, stop.signal)]);
        detail.value = one;
        row.value = all;
        error.value = null;
        version.value += 1;
      } catch (problem) {
        if (!stop.signal.aborted) error.value = problem;
      }
    };
    void load();
    const beat = throttle(1000, load);
    const stream = follow(sweep, null, (events) => {
      if (events.some((event) => event.trial === trial || event.type === 'incumbent')) beat.now();
    }, beat.now);
    return () => {
      stop.abort();
      beat.stop();
      stream.close();
    };
  }, [sweep, trial]);

  useKeys({
    l: () => go(trialPath(sweep, trial, 'logs')),
    j: () => go(trialPath(sweep, trial + 1, tab)),
    k: () => trial > 0 && go(trialPath(sweep, trial - 1, tab)),
    x: () => pick(`${row.value?.sweep ?? sweep}.${trial}`),
    c: () => picked.value.length > 0 && go(`/compare?trials=${picked.value.map(encodeURIComponent).join(',')}`),
    b: () => row.value?.best && go(trialPath(sweep, row.value.best.trial)),
    ...Object.fromEntries(TABS.map((name, i) => [String(i + 1), () => go(trialPath(sweep, trial, name))])),
  });

  const now = detail.value;
  const owner = row.value;
  if (!now || !owner) return error.value ? <Trouble error={error.value} /> : <Loading tall />;
  const current = (TABS as readonly string[]).includes(tab) ? tab : '';
  const over = ENDED.includes(now.state);
  const isBest = owner.best?.trial === now.trial;
  const words: Record<string, string> = m.trial.tabs;
  return (
    <>
      <div>
        <div class="crumbs">
          <a href="/">{m.nav.sweeps}</a> <span aria-hidden="true">/</span>
          <a href={sweepPath(owner.sweep)} data-up>{printable(owner.display_name ?? owner.experiment, 80)}</a>
          <span class="mono">{shortId(owner.sweep)}</span>
        </div>
        <div class="head">
          <h1>{m.trial.title(now.trial)}</h1>
          <State state={now.state} cause={now.cause} best={isBest} />
          <div class="end">
            {trial > 0 && <a class="button small" href={trialPath(sweep, trial - 1, tab)}>← {m.trial.previous}</a>}
            <a class="button small" href={trialPath(sweep, trial + 1, tab)}>{m.trial.next} →</a>
            {!over && !readOnly() && (
              <button
                type="button"
                class="button small danger"
                onClick={async () => {
                  if (await ask(m.trial.stopAsk(trial), m.trial.stopHelp, m.trial.stop)) await actOnTrial(sweep, trial, 'cancel', m.trial.stop);
                }}
              >
                {m.trial.stop}
              </button>
            )}
            {over && !readOnly() && !ENDED.includes(owner.state) && <button type="button" class="button small" onClick={() => void actOnTrial(sweep, trial, 'rerun', m.trial.rerun)}>{m.trial.rerun}</button>}
          </div>
        </div>
      </div>
      {error.value ? <Trouble error={error.value} /> : null}
      <section class="answers">
        <div>
          <span class="label">{printable(owner.metric ?? m.trial.value, 60)}</span>
          <span class="big" title={now.best === null ? undefined : String(now.best)}>{number(now.best)}</span>
          <span class="dim">{now.best_interval !== null ? `${m.chart.point} ${now.best_interval} / ${count(now.reports)}` : ''}</span>
        </div>
        <div>
          <span class="label">{isBest ? '▲ ' : ''}{m.sweep.best}</span>
          <span class="big">{now.rank === null ? '–' : m.trial.rank(now.rank, now.scored)}</span>
          {owner.best && !isBest && <span class="dim"><a href={trialPath(sweep, owner.best.trial)}>{m.sweep.chose(owner.best.trial)}</a> {number(owner.best.value)}</span>}
        </div>
        <div>
          <span class="label">{m.trial.why}</span>
          <Why trial={now} sweep={owner} />
        </div>
        <div>
          <span class="label">{m.sweeps.columns.time}</span>
          <span class="big">{duration(now.duration_ms)}</span>
          <span class="dim wrap">{time(now.started)} – {over ? time(now.ended) : '…'}{now.target ? `, ${printable(now.target, 60)}` : ''}</span>
        </div>
      </section>
      <nav class="tabs" aria-label={m.trial.title(now.trial)}>
        {TABS.map((name) => <a key={name} href={trialPath(sweep, trial, name)} aria-current={name === current ? 'page' : undefined}>{words[name || 'overview']}</a>)}
      </nav>
      {current === '' && (
        <>
          <div class="grid-2">
            <Metric base={base} name={owner.metric} version={version.value} over={over} sweep={owner} height={260} trial={trial} />
            <ParametersPanel trial={now} sweep={owner} />
          </div>
          <div class="grid-even">
            <LogPanel base={base} live={!over} lines />
            <section class="panel">
              <header><h2>{m.trial.origin}</h2></header>
              <dl class="kv">
                <dt>{m.config.sampler}</dt>
                <dd>{printable(now.origin.sampler, 80)}: {printable(now.origin.method, 300)}</dd>
                {now.origin.predicted && (
                  <>
                    <dt>{m.chart.mean}</dt>
                    <dd>{m.sweep.expects(number(now.origin.predicted.mean), number(now.origin.predicted.low), number(now.origin.predicted.high))}{now.best === null ? '' : `, ${m.sweep.got(number(now.best))}`}</dd>
                  </>
                )}
              </dl>
              {now.origin.notes?.map((note) => <p key={note} class="dim wrap">{printable(note, 600)}</p>)}
              <Images base={base} trial={now} />
            </section>
          </div>
        </>
      )}
      {current === '' && <Logged base={base} trial={now} few />}
      {current === 'metrics' && (
        <div class="grid-even">
          {now.metrics.slice(0, 60).map((metric) => <Metric key={metric.name} base={base} name={metric.name} version={version.value} over={over} sweep={owner} height={230} trial={trial} />)}
          {!now.metrics.length && <p class="dim">{m.trial.noMetrics}</p>}
        </div>
      )}
      {current === 'metrics' && <Logged base={base} trial={now} />}
      {current === 'logs' && <LogPanel base={base} live={!over} />}
      {current === 'files' && <Files base={base} version={version.value} trial={now} />}
      {current === 'config' && <Config trial={now} />}
      {current === 'history' && <EventsTab sweep={owner.sweep} trial={trial} version={version.value} />}
    </>
  );
}

function Why({ trial, sweep }: { trial: TrialDetail; sweep: SweepRow }) {
  const { stop } = trial;
  if (stop)
    return (
      <>
        <span class="strong warn">{m.trial.stoppedBy(printable(stop.policy, 60), stop.interval)}</span>
        <span class="wrap">{printable(stop.inequality, 300)}</span>
        {stop.threshold !== null && (
          <span class="dim wrap">
            {m.trial.survive(printable(sweep.metric ?? '', 40), sweep.goal === 'maximize' ? m.trial.atLeast : m.trial.atMost, number(stop.threshold), stop.interval)}
            {stop.value !== null && ` (${m.trial.away(number(Math.abs(stop.threshold - stop.value)))})`}
          </span>
        )}
        <span class="dim wrap">{Object.entries(stop.operands).filter(([name]) => name !== 'sign').map(([name, value]) => `${printable(name, 40)} ${number(value)}`).join(', ')}</span>
      </>
    );
  const last = trial.items.at(-1)?.outcome;
  const text = trial.reason ?? last?.message ?? '';
  return (
    <>
      <span class={`strong wrap ${trial.state === 'Failed' ? 'bad' : ''}`}>{m.state[trial.state] ?? trial.state}{trial.cause ? ` (${printable(trial.cause, 40)})` : ''}</span>
      {text && <span class="wrap">{printable(text, 600)}</span>}
      {trial.attempts > 1 && <span class="dim">{count(trial.attempts)} {m.trial.attempts}</span>}
    </>
  );
}

function ParametersPanel({ trial, sweep }: { trial: TrialDetail; sweep: SweepRow }) {
  const best = sweep.best && sweep.best.trial !== trial.trial ? sweep.best.parameters : null;
  const text = JSON.stringify(trial.parameters, null, 2);
  return (
    <section class="panel">
      <header><h2>{m.trial.parameters}</h2><span class="end"><Copy text={text} label={m.trial.parameters} /></span></header>
      <div class="scroll" tabIndex={0} role="region" aria-label={m.trial.parameters}>
        <table class="plain">
          <thead class="visually-hidden"><tr><th scope="col">{m.trial.parameters}</th><th scope="col">{m.trial.value}</th>{best && <th scope="col">{m.trial.againstBest}</th>}</tr></thead>
          <tbody>
            {Object.entries(trial.parameters).map(([name, value]) => (
              <tr key={name}>
                <th scope="row" class="mono">{printable(name, 80)}</th>
                <td class="num" title={printable(String(value))}>{number(value)}</td>
                {best && <td class="num dim">{ratio(value, best[name])}</td>}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

/** How a value differs from the best trial's. */
export function ratio(value: unknown, other: unknown): string {
  if (other === undefined) return '–';
  if (JSON.stringify(value) === JSON.stringify(other)) return '=';
  if (typeof value === 'number' && typeof other === 'number' && other !== 0 && value / other > 0) return `× ${number(Number((value / other).toPrecision(3)))} (▲ ${number(other)})`;
  return `▲ ${number(other)}`;
}

function Metric({ base, name, version, over, sweep, height, trial }: { base: string; name: string | null; version: number; over: boolean; sweep: SweepRow; height: number; trial: number }) {
  const points = useSignal<MetricPoint[] | null>(null);
  const beside = useSignal<MetricPoint[]>([]);
  const best = sweep.best?.trial ?? null;
  useEffect(() => {
    if (!name || best === null || best === trial) {
      beside.value = [];
      return;
    }
    get<List<MetricPoint>>(`${place`/sweeps/${sweep.sweep}/trials/${best}/curve`}?metric=${encodeURIComponent(name)}`).then(
      (list) => (beside.value = list.items),
      () => undefined,
    );
  }, [name, best, trial]);
  const byTime = query.value.get('x') === 'time';
  const logY = query.value.get('ylog') === '1';
  useEffect(() => {
    if (!name) return;
    const stop = new AbortController();
    get<List<MetricPoint>>(`${base}/curve?metric=${encodeURIComponent(name)}`, stop.signal).then(
      (list) => (points.value = list.items),
      () => undefined,
    );
    return () => stop.abort();
  }, [base, name, over ? 'ended' : version]);
  if (!name) return <section class="panel"><p class="dim">{m.trial.noMetrics}</p></section>;
  const rows = points.value ?? [];
  const series = (list: MetricPoint[], label: string, color: number) => ({
    name: label,
    color,
    x: list.map((point) => (byTime ? point.elapsed_ms : point.step)),
    y: list.map((point) => (typeof point.value === 'number' ? point.value : NaN)),
  });
  const shown = printable(name, 80);
  const last = rows.at(-1);
  const model = new LinesModel([series(rows, beside.value.length ? m.trial.this(trial) : shown, 0), ...(beside.value.length ? [series(beside.value, m.trial.theBest(best!), 1)] : [])], {
    name: shown,
    caption: last ? `${m.trials.columns.last} ${number(last.value)}, ${count(rows.length)} ${m.trials.columns.reports}` : m.chart.empty,
    xName: byTime ? m.sweep.byTime : m.trial.step,
    yName: '',
    time: byTime,
    logY,
    goal: sweep.goal,
  });
  return (
    <section class="panel">
      <Chart
        model={model}
        height={height}
        version={`${rows.length}|${byTime}|${logY}|${name}|${beside.value.length}`}
        toolbar={
          <>
            <h2 class="wrap">{shown}</h2>
            <label>
              <span class="visually-hidden">{m.sweep.bestX}</span>
              <select value={byTime ? 'time' : 'step'} onChange={(event) => setQuery({ x: event.currentTarget.value === 'time' ? 'time' : null })}>
                <option value="step">{m.trial.step}</option>
                <option value="time">{m.sweep.byTime}</option>
              </select>
            </label>
            <label><input type="checkbox" checked={logY} onChange={(event) => setQuery({ ylog: event.currentTarget.checked ? '1' : null })} /> {m.chart.log}</label>
          </>
        }
      />
    </section>
  );
}

const LOG_CHUNK = 64 * 1024;
/** Characters of log that are kept on the page. */
const LOG_KEPT = 2_000_000;

function LogPanel({ base, live, lines }: { base: string; live: boolean; lines?: boolean }) {
  const text = useSignal('');
  const start = useSignal(0);
  const following = useSignal(true);
  const wrapped = useSignal(false);
  const error = useSignal<unknown>(null);
  const next = useRef(-1);
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const stop = new AbortController();
    let timer = 0;
    next.current = -1;
    text.value = '';
    const turn = async () => {
      try {
        const offset = next.current < 0 ? -(lines ? 6000 : LOG_CHUNK) : next.current;
        const answer = await getText(`${base}/log?offset=${offset}&limit=${4 * LOG_CHUNK}`, stop.signal);
        if (next.current < 0) start.value = answer.offset;
        next.current = answer.next;
        if (answer.text) text.value = (text.value + answer.text).slice(-LOG_KEPT);
        error.value = null;
        if (answer.next < answer.size) timer = window.setTimeout(() => void turn(), 0);
        else if (live) timer = window.setTimeout(() => void turn(), 1000);
      } catch (problem) {
        if (stop.signal.aborted) return;
        error.value = problem;
        timer = window.setTimeout(() => void turn(), 3000);
      }
    };
    void turn();
    return () => {
      stop.abort();
      window.clearTimeout(timer);
    };
  }, [base, live]);
  useEffect(() => {
    if (following.value && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [text.value, following.value]);
  const earlier = async () => {
    const from = Math.max(0, start.value - LOG_CHUNK);
    const answer = await getText(`${base}/log?offset=${from}&limit=${start.value - from}`);
    following.value = false;
    start.value = from;
    text.value = answer.text + text.value;
  };
  const shown = logText(text.value);
  return (
    <section class="panel">
      <header>
        <h2>{m.trial.log}</h2>
        <span class="end">
          {start.value > 0 && <button type="button" class="button small" onClick={() => void earlier()}>{m.trial.earlier}</button>}
          <label class="check"><input type="checkbox" checked={wrapped.value} onChange={(event) => (wrapped.value = event.currentTarget.checked)} /> {m.trial.wrap}</label>
          <label class="check"><input type="checkbox" checked={following.value} onChange={(event) => (following.value = event.currentTarget.checked)} /> {m.trial.follow}</label>
          <Copy text={text.value} label={m.trial.log} />
        </span>
      </header>
      {error.value ? <Trouble error={error.value} /> : null}
      <div
        class={`log ${wrapped.value ? 'wrapped' : ''}`}
        ref={box}
        tabIndex={0}
        role="region"
        aria-label={m.trial.log}
        style={lines ? undefined : { maxHeight: '70vh' }}
        onWheel={(event) => {
          if (event.deltaY < 0) following.value = false;
        }}
      >
        {shown || m.trial.logEmpty}
      </div>
    </section>
  );
}

export function shellLine(argv: string[]): string {
  return argv.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');
}

function Config({ trial }: { trial: TrialDetail }) {
  return (
    <>
      <section class="panel">
        <header><h2>{m.trial.attempts}</h2></header>
        {trial.items.map((attempt) => {
          const line = attempt.argv ? shellLine(attempt.argv) : '';
          return (
            <div key={attempt.attempt} style={{ display: 'grid', gap: '6px' }}>
              <div class="row">
                <h3>{m.trial.attempt(attempt.attempt)}</h3>
                <span class="wrap">{attempt.outcome ? `${attempt.outcome.kind}${attempt.outcome.message ? `: ${printable(attempt.outcome.message, 300)}` : ''}` : m.state.Running}</span>
                {attempt.superseded && <span class="dim">{m.trial.superseded}</span>}
              </div>
              {line && <div class="row"><span class="label">{m.trial.reproduce}</span> <Copy text={`cd ${shellLine([`${attempt.folder}/wd`])} && ${line}`} label={m.trial.command} /></div>}
              {line && <div class="code wrapped" tabIndex={0} role="region" aria-label={m.trial.command}>{printable(line, 20_000)}</div>}
              <span class="dim mono wrap">{printable(attempt.folder, 500)}</span>
            </div>
          );
        })}
        {!trial.items.length && <p class="dim">{m.none}</p>}
      </section>
      <div class="grid-even">
        <section class="panel">
          <header><h2>{m.trial.environment}</h2></header>
          <dl class="kv">
            {Object.entries(trial.environment).map(([name, value]) => (
              <>
                <dt>{printable(name, 60)}</dt>
                <dd class="mono">{printable(value, 400)}</dd>
              </>
            ))}
          </dl>
        </section>
        <section class="panel">
          <header><h2>{m.trial.facts}</h2></header>
          <dl class="kv">
            {trial.facts.slice(0, 500).map((fact) => (
              <>
                <dt>{printable(fact.kind, 20)} {printable(fact.key, 80)}</dt>
                <dd class="mono">{printable(fact.value, 600)}</dd>
              </>
            ))}
          </dl>
          {!trial.facts.length && <p class="dim">{m.none}</p>}
        </section>
      </div>
    </>
  );
}
