// One sweep, live: the four answers, then a view per question.
import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { printable, shortId } from '../format';
import { useKeys } from '../keys';
import { link } from '../live';
import { m } from '../messages';
import { Actions } from '../parts/actions';
import { Answers } from '../parts/answers';
import { Trials } from '../parts/trials';
import { Copy, Loading, State, Trouble } from '../parts/ui';
import { go, sweepPath, trialPath } from '../router';
import { SweepView } from '../view';
import { ConfigTab, EventsTab, PolicyTab } from './sweep-facts';
import { BestPanel, CurvesPanel, ImportancePanel, ModelTab, ParamsTab, Waiting } from './sweep-charts';
import { Attention, LastChoices } from './sweep-news';

const TABS = ['', 'trials', 'curves', 'params', 'importance', 'model', 'policy', 'config', 'events'] as const;

function Ago({ at }: { at: number }) {
  const now = useSignal(Date.now());
  useEffect(() => {
    const beat = window.setInterval(() => (now.value = Date.now()), 1000);
    return () => window.clearInterval(beat);
  }, []);
  const seconds = Math.max(0, Math.round((now.value - at) / 1000));
  return <span class="dim wide-only">{link.value.open ? '' : '… '}{m.updated(seconds < 60 ? `${seconds} s` : `${Math.round(seconds / 60)} min`)}</span>;
}

export function SweepPage({ id, tab }: { id: string; tab: string }) {
  const view = useMemo(() => new SweepView(id), [id]);
  useEffect(() => () => view.close(), [view]);
  const summary = view.summary.value;
  const detail = view.detail.value;
  const names = useMemo(() => {
    const list = detail?.space.parameters.map((parameter) => parameter.name) ?? Object.keys(summary?.sweep.best?.parameters ?? summary?.trials[0]?.parameters ?? {});
    // A branch shows its own names: whatever a trial has counts too.
    for (const trial of summary?.trials ?? []) for (const name of Object.keys(trial.parameters)) if (!list.includes(name)) list.push(name);
    return list;
  }, [detail, summary?.sweep.sweep, (summary?.trials.length ?? 0) > 0]);

  useKeys({
    ...Object.fromEntries(TABS.map((name, i) => [String(i + 1), () => go(sweepPath(summary?.sweep.sweep ?? id, name))])),
    b: () => summary?.sweep.best && go(trialPath(summary.sweep.sweep, summary.sweep.best.trial)),
  });

  if (!summary) return view.error.value ? <Trouble error={view.error.value} again={() => view.reload()} /> : <Loading tall />;
  const { sweep } = summary;
  const current = (TABS as readonly string[]).includes(tab) ? tab : '';
  const words: Record<string, string> = m.sweep.tabs;
  return (
    <>
      <div>
        <div class="crumbs">
          <a href="/" data-up>{m.nav.sweeps}</a> <span aria-hidden="true">/</span> <span>{printable(sweep.experiment, 80)}</span>
          <span class="mono">{shortId(sweep.sweep)}</span> <Copy text={sweep.sweep} label={m.sweeps.columns.name} />
        </div>
        <div class="head">
          <h1 class="wrap">{printable(sweep.display_name ?? sweep.experiment, 120)}</h1>
          <State state={sweep.state} />
          {Object.entries(sweep.tags).map(([key, value]) => <span key={key} class="tag">{printable(key, 30)}={printable(value, 40)}</span>)}
          <div class="end">
            <Ago at={view.updated.value} />
            <Actions summary={summary} detail={detail} names={names} after={() => view.reload()} />
          </div>
        </div>
        {sweep.notes && <p class="dim wrap">{printable(sweep.notes, 4000)}</p>}
      </div>
      {view.error.value ? <Trouble error={view.error.value} again={() => view.reload()} /> : null}
      <Answers summary={summary} />
      <nav class="tabs" aria-label={m.sweep.tabs.overview}>
        {TABS.map((name, i) => (
          <a key={name} href={sweepPath(sweep.sweep, name)} aria-current={name === current ? 'page' : undefined} title={`${i + 1}`}>
            {words[name || 'overview']}
          </a>
        ))}
      </nav>
      {current === '' && <Overview view={view} names={names} />}
      {current === 'trials' && (
        <section class="panel">
          <Trials sweep={sweep} version={view.rowsVersion.value} names={names} tall />
        </section>
      )}
      {current === 'curves' && <CurvesPanel view={view} height={520} />}
      {current === 'params' && <ParamsTab view={view} names={names} />}
      {current === 'importance' && <ImportancePanel view={view} both />}
      {current === 'model' && <ModelTab view={view} names={names} />}
      {current === 'policy' && <PolicyTab view={view} />}
      {current === 'config' && <ConfigTab view={view} />}
      {current === 'events' && <EventsTab sweep={sweep.sweep} version={view.rowsVersion.value} />}
    </>
  );
}

function Overview({ view, names }: { view: SweepView; names: string[] }) {
  const summary = view.summary.value!;
  const { sweep } = summary;
  if (!sweep.metric)
    return (
      <>
        <p class="note">{m.sweep.noMetric}</p>
        <Waiting summary={summary} />
        <section class="panel"><Trials sweep={sweep} version={view.rowsVersion.value} names={names} /></section>
      </>
    );
  const silent = !sweep.best && summary.trials.every((trial) => trial.reports === 0);
  return (
    <>
      {silent && <Waiting summary={summary} />}
      <div class="grid-2">
        <BestPanel view={view} />
        <div style={{ display: 'grid', gap: '16px', alignContent: 'start', gridTemplateColumns: 'minmax(0, 1fr)' }}>
          <Attention summary={summary} />
          <LastChoices sweep={sweep} version={view.rowsVersion.value} />
        </div>
      </div>
      <div class="grid-2">
        <CurvesPanel view={view} height={340} />
        <ImportancePanel view={view} />
      </div>
      <section class="panel">
        <header><h2>{m.sweep.trialsTitle}</h2></header>
        <Trials sweep={sweep} version={view.rowsVersion.value} names={names} />
      </section>
    </>
  );
}
