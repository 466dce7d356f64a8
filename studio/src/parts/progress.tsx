// How far a sweep is, as a bar and in words.
import { count } from '../format';
import { m } from '../messages';
import type { SweepRow } from '../types';

export function counts(sweep: SweepRow) {
  const { trials } = sweep;
  const failed = trials.Failed ?? 0;
  const canceled = trials.Canceled ?? 0;
  const completed = trials.Completed ?? 0;
  const running = (trials.Running ?? 0) + (trials.Preparing ?? 0) + (trials.CancelRequested ?? 0) + (trials.NotResponding ?? 0);
  return { failed, canceled, completed, running, stopped: sweep.stopped_by_policy, ended: failed + canceled + completed };
}

export function Progress({ sweep }: { sweep: SweepRow }) {
  const n = counts(sweep);
  const total = Math.max(1, sweep.max_total_runs, n.ended + n.running);
  const share = (value: number) => ({ width: `${(100 * value) / total}%` });
  return (
    <div
      class="bar"
      role="progressbar"
      aria-valuemin={0}
      aria-valuemax={total}
      aria-valuenow={n.ended}
      aria-label={m.sweep.ofTrials(n.ended, sweep.max_total_runs)}
      title={`${count(n.completed)} ${m.state.Completed}, ${count(n.canceled)} ${m.state.Canceled}, ${count(n.failed)} ${m.state.Failed}, ${count(n.running)} ${m.state.Running}`}
    >
      <i class="done" style={share(n.completed)} />
      <i class="stop" style={share(n.canceled)} />
      <i class="fail" style={share(n.failed)} />
      <i class="live" style={share(n.running)} />
    </div>
  );
}
