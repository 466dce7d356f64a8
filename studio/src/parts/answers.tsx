// The four answers at first sight: best, progress, trouble, end.
import { count, duration, number, parameters, plural, printable, time } from '../format';
import { m } from '../messages';
import { sweepPath, trialPath } from '../router';
import { type Settings, settings } from '../settings';
import type { Cost, Summary } from '../types';
import { Progress, counts } from './progress';
import { Copy } from './ui';

/** What was spent, or what is ahead: money if the targets or the settings know a price, else time of trials; null if it is not known. */
export function money(cost: Cost, part: 'spent' | 'ahead', how: Settings): string | null {
  const ms = part === 'spent' ? cost.spent_ms : cost.ahead_ms;
  if (ms === null) return null;
  const paid = cost[part] ?? (how.price === null ? null : (ms / 3.6e6) * how.price);
  return paid === null ? duration(ms) : `${number(Math.round(paid * 100) / 100)} ${printable(how.currency, 8)}`;
}

export function typed(values: Record<string, unknown>): string {
  return Object.entries(values)
    .map(([name, value]) => {
      const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
      const flag = name.startsWith('-') ? name : `--${name}`;
      return `${flag} ${/^[\w.+\-/]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`}`;
    })
    .join(' ');
}

export function Answers({ summary }: { summary: Summary }) {
  const { sweep, eta, cost, saved } = summary;
  const n = counts(sweep);
  const over = ['Completed', 'Failed', 'Canceled'].includes(sweep.state);
  return (
    <section class="answers" aria-label={`${m.sweep.best}, ${m.sweep.progress}, ${m.sweep.trouble}, ${m.sweep.end}`}>
      <div>
        <span class="label">▲ {m.sweep.best} {sweep.metric ? printable(sweep.metric, 60) : ''} {sweep.goal === 'minimize' ? '(min)' : sweep.goal === 'maximize' ? '(max)' : ''}</span>
        {sweep.best ? (
          <>
            <span class="big" title={String(sweep.best.value)}>{number(sweep.best.value)}</span>
            <span class="wrap">
              <a href={trialPath(sweep.sweep, sweep.best.trial)}>{m.sweep.chose(sweep.best.trial)}</a>{' '}
              <span class="dim">{parameters(sweep.best.parameters, 4)}</span> <Copy text={typed(sweep.best.parameters)} label={m.trial.parameters} />
            </span>
          </>
        ) : (
          <span class="big dim">{m.sweep.noBest}</span>
        )}
      </div>
      <div>
        <span class="label">{m.sweep.progress}</span>
        <span class="big">{count(n.ended)}<span class="dim">/{count(sweep.max_total_runs)}</span></span>
        <Progress sweep={sweep} />
        <span class="wrap">
          {n.running > 0 && <span class="run">● {m.sweep.running(n.running)} </span>}
          {n.stopped > 0 && <span class="warn">■ {m.sweep.stopped(n.stopped)}</span>}
        </span>
      </div>
      <div>
        <span class="label">{m.sweep.trouble}</span>
        {n.failed > 0 ? (
          <a class="big bad" href={`${sweepPath(sweep.sweep, 'trials')}?where=state:failed`}>✗ {m.sweep.failedCount(n.failed)}</a>
        ) : (
          <span class="big">{summary.warnings.length ? plural(summary.warnings.length, 'warning', 'warnings') : m.sweep.noTrouble}</span>
        )}
        {!over && !summary.led && <span class="bad wrap">{m.sweep.unled}</span>}
        {sweep.reason && sweep.state !== 'Running' && <span class="dim wrap">{printable(sweep.reason, 300)}</span>}
        {saved && <span class="dim wrap">{m.sweep.saved(count(saved.reports), count(saved.of), `${Math.round((100 * saved.reports) / Math.max(1, saved.of))} %`)}</span>}
      </div>
      <div>
        <span class="label">{m.sweep.end}</span>
        {over ? (
          <span class="big">{m.sweep.ended(time(sweep.ended))}</span>
        ) : (
          <span class="big" title={eta ? m.sweep.etaRange(duration(eta.low_ms), duration(eta.high_ms)) : m.sweep.etaNone}>{eta ? `${m.sweep.eta} ${duration(eta.middle_ms)}` : '–'}</span>
        )}
        <span class="wrap">
          {over ? m.sweep.took(duration(sweep.duration_ms)) : m.sweep.since(duration(sweep.duration_ms))}
          {sweep.max_duration_minutes !== null && <span class="dim"> {m.sweep.limit(duration(sweep.max_duration_minutes * 60_000))}</span>}
          {!over && eta && <span class="dim"> ({m.sweep.etaRange(duration(eta.low_ms), duration(eta.high_ms))})</span>}
        </span>
        {cost && (
          <span class="dim wrap">
            {cost.spent !== null || settings.value.price !== null ? m.sweep.paid : m.sweep.cost}: {m.sweep.money(money(cost, 'spent', settings.value) ?? '', money(cost, 'ahead', settings.value))}
          </span>
        )}
      </div>
    </section>
  );
}
