// What needs attention, and what the sampler did last.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { get, place } from '../api';
import { number, parameters, printable } from '../format';
import { m } from '../messages';
import { trialPath } from '../router';
import type { List, Summary, SweepRow, TrialRow } from '../types';
import { State } from '../parts/ui';

export function Attention({ summary }: { summary: Summary }) {
  const { sweep, trouble, warnings } = summary;
  return (
    <section class="panel">
      <header><h2>{m.sweep.attention}</h2></header>
      <ul class="list">
        {trouble.map((trial) => (
          <li key={trial.trial}>
            <span class="bad">✗ <a href={trialPath(sweep.sweep, trial.trial)}>{m.trial.title(trial.trial)}</a></span>
            <span class="wrap">{printable(trial.reason ?? '', 200)}</span>
            <a href={trialPath(sweep.sweep, trial.trial, 'logs')}>{m.sweep.log}</a>
          </li>
        ))}
        {warnings.map((event) => (
          <li key={event.seq}>
            <span class="warn" aria-hidden="true">▲</span>
            <span class="wrap">{event.trial === null ? '' : `${m.trial.title(event.trial)}: `}{printable(String(event.data.message ?? event.type), 400)}</span>
          </li>
        ))}
        {!trouble.length && !warnings.length && <li class="dim">{m.sweep.noTrouble}</li>}
      </ul>
    </section>
  );
}

export function LastChoices({ sweep, version, many }: { sweep: SweepRow; version: number; many?: boolean }) {
  const rows = useSignal<TrialRow[]>([]);
  useEffect(() => {
    const stop = new AbortController();
    get<List<TrialRow>>(`${place`/sweeps/${sweep.sweep}/trials`}?order=number&reverse=true&limit=${many ? 40 : 20}`, stop.signal).then(
      (list) => (rows.value = list.items),
      () => undefined,
    );
    return () => stop.abort();
  }, [sweep.sweep, version, many]);
  const ended = (trial: TrialRow) => ['Completed', 'Failed', 'Canceled'].includes(trial.state);
  const show = (list: TrialRow[], none: string) => (
    <ul class="list">
      {list.map((trial) => (
        <li key={trial.trial}>
          <a href={trialPath(sweep.sweep, trial.trial)}>{m.sweep.chose(trial.trial)}</a>
          <State state={trial.state} cause={trial.cause} />
          <span class="dim wrap">{printable(trial.origin.sampler, 40)}: {printable(trial.origin.method, 200)}</span>
          {trial.origin.predicted && (
            <span class="wrap">
              {m.sweep.expects(number(trial.origin.predicted.mean), number(trial.origin.predicted.low), number(trial.origin.predicted.high))}
              {trial.best !== null && `, ${m.sweep.got(number(trial.best))}`}
            </span>
          )}
          {many && <span class="dim wrap">{parameters(trial.parameters, 8)}</span>}
          {many && trial.origin.notes?.map((note) => <span key={note} class="dim wrap">{printable(note, 400)}</span>)}
        </li>
      ))}
      {!list.length && <li class="dim">{none}</li>}
    </ul>
  );
  const most = many ? 8 : 2;
  return (
    <section class="panel">
      {!['Completed', 'Failed', 'Canceled'].includes(sweep.state) && (
        <>
          <header><h2>{m.sweep.nextTitle}</h2></header>
          {show(rows.value.filter((trial) => !ended(trial)).slice(0, most), m.sweep.noNext)}
        </>
      )}
      <header><h2>{m.sweep.lastTitle}</h2></header>
      {show(rows.value.filter(ended).slice(0, most), m.none)}
    </section>
  );
}
