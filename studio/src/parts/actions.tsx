// Steering: what can be asked of a sweep, with the dialogs that ask back.
import { useSignal } from '@preact/signals';
import { place, send } from '../api';
import { number, printable } from '../format';
import { m } from '../messages';
import { go, query } from '../router';
import { readOnly } from '../state';
import type { Parameter, Summary, SweepDetail, SweepRow, Value } from '../types';
import { counts } from './progress';
import { Dialog, Menu, ask, complain, say } from './ui';
import { exportRows } from './trials';

async function act(sweep: string, what: string, body: unknown, after: () => void): Promise<boolean> {
  try {
    const answer = await send<{ state: string }>('POST', place`/sweeps/${sweep}/actions`, body);
    say(answer.state === 'waiting' ? m.done.waiting(what) : m.done.request(what));
    after();
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

export function Actions({ summary, detail, names, after }: { summary: Summary; detail: SweepDetail | null; names: string[]; after: () => void }) {
  const { sweep } = summary;
  const dialog = useSignal<'limits' | 'enqueue' | 'label' | null>(null);
  const busy = useSignal(false);
  const over = ['Completed', 'Failed', 'Canceled'].includes(sweep.state);
  const locked = readOnly();
  const run = async (what: string, body: unknown) => {
    busy.value = true;
    await act(sweep.sweep, what, body, after);
    busy.value = false;
  };
  const cancel = async () => {
    if (await ask(m.sweep.cancelAsk(counts(sweep).running), m.sweep.cancelHelp, m.sweep.cancelDo)) await run(m.sweep.cancel, { action: 'cancel' });
  };
  const archive = async () => {
    try {
      await send('PATCH', place`/sweeps/${sweep.sweep}`, { archived: !sweep.archived });
      say(sweep.archived ? m.done.restored : m.done.archived);
      after();
    } catch (error) {
      complain(error);
    }
  };
  const lead = async () => {
    busy.value = true;
    try {
      await send('POST', place`/sweeps/${sweep.sweep}/actions`, { action: 'lead' });
      say(m.done.led);
      after();
    } catch (error) {
      complain(error);
    }
    busy.value = false;
  };
  return (
    <>
      {!over && !locked && !summary.led && <button type="button" class="button primary small" disabled={busy.value} onClick={() => void lead()}>{m.sweep.unledHelp}</button>}
      {!over && !locked && sweep.state !== 'Paused' && <button type="button" class="button small" disabled={busy.value || sweep.state !== 'Running'} onClick={() => void run(m.sweep.pause, { action: 'pause' })}>{m.sweep.pause}</button>}
      {!over && !locked && sweep.state === 'Paused' && <button type="button" class="button small" disabled={busy.value} onClick={() => void run(m.sweep.resume, { action: 'resume' })}>{m.sweep.resume}</button>}
      {!over && !locked && <button type="button" class="button small danger" disabled={busy.value || sweep.state === 'CancelRequested'} onClick={() => void cancel()}>{m.sweep.cancel}</button>}
      <Menu label={m.sweep.more} text={m.sweep.more}>
        {!over && !locked && <button type="button" onClick={() => (dialog.value = 'limits')}>{m.sweep.limits}</button>}
        {!over && !locked && <button type="button" disabled={!detail} onClick={() => (dialog.value = 'enqueue')}>{m.sweep.enqueue}</button>}
        {!locked && <button type="button" onClick={() => (dialog.value = 'label')}>{m.sweep.edit}</button>}
        {!locked && <button type="button" onClick={() => go(`/new?from=${encodeURIComponent(sweep.sweep)}`)}>{m.sweep.again}</button>}
        <button type="button" onClick={() => void exportRows(sweep, query.value.get('where') ?? '', names)}>{m.sweep.exportRows}</button>
        {!locked && <button type="button" onClick={() => void archive()}>{sweep.archived ? m.sweep.unarchive : m.sweep.archive}</button>}
      </Menu>
      {dialog.value === 'limits' && <Limits sweep={sweep} onClose={() => (dialog.value = null)} after={after} />}
      {dialog.value === 'enqueue' && detail && <Enqueue sweep={sweep} space={detail.space.parameters} onClose={() => (dialog.value = null)} after={after} />}
      {dialog.value === 'label' && <Label sweep={sweep} onClose={() => (dialog.value = null)} after={after} />}
    </>
  );
}

interface DialogProps {
  sweep: SweepRow;
  onClose: () => void;
  after: () => void;
}

function Limits({ sweep, onClose, after }: DialogProps) {
  const total = useSignal(String(sweep.max_total_runs));
  const concurrent = useSignal(String(sweep.max_concurrent_runs));
  const minutes = useSignal(sweep.max_duration_minutes === null ? '' : String(sweep.max_duration_minutes));
  const submit = async (event: Event) => {
    event.preventDefault();
    const body: Record<string, unknown> = { action: 'set_limits', max_total_runs: Number(total.value), max_concurrent_runs: Number(concurrent.value) };
    if (minutes.value) body.max_duration_minutes = Number(minutes.value);
    if (await act(sweep.sweep, m.limits.title, body, after)) onClose();
  };
  const field = (label: string, value: { value: string }, least: number, step: number) => (
    <label class="field">
      <span class="mono">{label}</span>
      <input type="number" min={least} step={step} value={value.value} onInput={(event) => (value.value = event.currentTarget.value)} />
    </label>
  );
  return (
    <Dialog title={m.limits.title} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        {field(m.limits.total, total, 1, 1)}
        {field(m.limits.concurrent, concurrent, 1, 1)}
        {field(m.limits.minutes, minutes, 0.1, 0.1)}
        <p class="note">{m.limits.note}</p>
        <footer>
          <button type="button" class="button" onClick={onClose}>{m.close}</button>
          <button type="submit" class="button primary">{m.limits.set}</button>
        </footer>
      </form>
    </Dialog>
  );
}

function describe(parameter: Parameter): string {
  const d = parameter.distribution;
  if (d.type === 'choice') return '';
  if (d.type === 'randint') return `0 … ${(d.upper ?? 1) - 1}`;
  if (d.type.startsWith('log') || d.type.startsWith('qlog')) {
    const base = d.base ?? Math.E;
    if (d.mu !== undefined) return `≈ ${number(base ** d.mu)}`;
    return `${number(base ** (d.low ?? 0))} … ${number(base ** (d.high ?? 0))}`;
  }
  if (d.mu !== undefined) return `${number(d.mu)} ± ${number(d.sigma)}`;
  return `${number(d.low)} … ${number(d.high)}`;
}

function Enqueue({ sweep, space, onClose, after }: DialogProps & { space: Parameter[] }) {
  const start: Record<string, string> = {};
  for (const parameter of space) {
    const best = sweep.best?.parameters[parameter.name];
    const option = parameter.distribution.options?.[0];
    const value = best ?? option ?? parameter.distribution.low ?? parameter.distribution.mu ?? 0;
    start[parameter.name] = JSON.stringify(value);
  }
  const values = useSignal(start);
  const off = useSignal<Record<string, boolean>>(Object.fromEntries(space.map((p) => [p.name, Boolean(p.condition) && !(p.name in (sweep.best?.parameters ?? {}))])));
  const submit = async (event: Event) => {
    event.preventDefault();
    const parameters: Record<string, Value> = {};
    for (const { name } of space) {
      if (off.value[name]) continue;
      const text = values.value[name] ?? '';
      try {
        parameters[name] = JSON.parse(text) as Value;
      } catch {
        parameters[name] = text;
      }
    }
    if (await act(sweep.sweep, m.enqueue.title, { action: 'enqueue', parameters }, after)) onClose();
  };
  return (
    <Dialog title={m.enqueue.title} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        {space.map((parameter) => (
          <label key={parameter.name} class="field">
            <span><span class="mono">{printable(parameter.name, 80)}</span> {describe(parameter)}{parameter.condition ? ` (${m.enqueue.inactive})` : ''}</span>
            <span class="row">
              {parameter.condition && <input type="checkbox" aria-label={m.enqueue.inactive} checked={!off.value[parameter.name]} onChange={(event) => (off.value = { ...off.value, [parameter.name]: !event.currentTarget.checked })} />}
              {parameter.distribution.options ? (
                <select disabled={off.value[parameter.name]} value={values.value[parameter.name]} onChange={(event) => (values.value = { ...values.value, [parameter.name]: event.currentTarget.value })}>
                  {parameter.distribution.options.map((option) => <option key={JSON.stringify(option)} value={JSON.stringify(option)}>{printable(number(option), 80)}</option>)}
                </select>
              ) : (
                <input type="number" step="any" disabled={off.value[parameter.name]} value={values.value[parameter.name]} onInput={(event) => (values.value = { ...values.value, [parameter.name]: event.currentTarget.value })} />
              )}
            </span>
          </label>
        ))}
        <p class="note">{m.enqueue.note}</p>
        <footer>
          <button type="button" class="button" onClick={onClose}>{m.close}</button>
          <button type="submit" class="button primary">{m.enqueue.add}</button>
        </footer>
      </form>
    </Dialog>
  );
}

function Label({ sweep, onClose, after }: DialogProps) {
  const tags = useSignal(Object.entries(sweep.tags).map(([key, value]) => `${key}=${value}`).join('\n'));
  const notes = useSignal(sweep.notes ?? '');
  const submit = async (event: Event) => {
    event.preventDefault();
    const parsed: Record<string, string> = {};
    for (const line of tags.value.split('\n')) {
      const [key, ...rest] = line.split('=');
      if (key?.trim()) parsed[key.trim()] = rest.join('=').trim();
    }
    try {
      await send('PATCH', place`/sweeps/${sweep.sweep}`, { tags: parsed, notes: notes.value });
      say(m.done.saved);
      after();
      onClose();
    } catch (error) {
      complain(error);
    }
  };
  return (
    <Dialog title={m.label.title} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <label class="field">
          <span>{m.label.tags}</span>
          <textarea rows={4} value={tags.value} onInput={(event) => (tags.value = event.currentTarget.value)} />
        </label>
        <label class="field">
          <span>{m.label.notes}</span>
          <textarea rows={6} value={notes.value} onInput={(event) => (notes.value = event.currentTarget.value)} />
        </label>
        <footer>
          <button type="button" class="button" onClick={onClose}>{m.close}</button>
          <button type="submit" class="button primary">{m.label.save}</button>
        </footer>
      </form>
    </Dialog>
  );
}

/** Stop or repeat one trial. */
export async function actOnTrial(sweep: string, trial: number, action: 'cancel' | 'rerun', what: string): Promise<void> {
  try {
    const answer = await send<{ state: string }>('POST', place`/sweeps/${sweep}/trials/${trial}/actions`, { action });
    say(answer.state === 'waiting' ? m.done.waiting(what) : m.done.request(what));
  } catch (error) {
    complain(error);
  }
}

