// Compute targets: capacity, use, queue, state; details with a real test; removing them. The forms are in `compute-form`.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { get, place, send } from '../api';
import { bytes, count, duration, number, printable } from '../format';
import { follow, throttle } from '../live';
import { m } from '../messages';
import { Loading, State, Title, Trouble, ask, complain, say } from '../parts/ui';
import { go, sweepPath } from '../router';
import { readOnly } from '../state';
import type { List, Target, TargetKind, TargetProbe, Value } from '../types';
import { TargetFormPage } from './compute-form';

export function Compute({ name }: { name: string | null }) {
  const list = useSignal<Target[] | null>(null);
  const kinds = useSignal<TargetKind[]>([]);
  const error = useSignal<unknown>(null);
  const again = useSignal(0);
  useEffect(() => {
    const stop = new AbortController();
    const load = async () => {
      try {
        list.value = (await get<List<Target>>('/targets', stop.signal)).items;
        error.value = null;
      } catch (problem) {
        if (!stop.signal.aborted) error.value = problem;
      }
    };
    get<List<TargetKind>>('/target-kinds', stop.signal).then((found) => (kinds.value = found.items), () => undefined);
    void load();
    const beat = throttle(2000, load);
    const stream = follow(null, null, beat.now, beat.now);
    return () => {
      stop.abort();
      beat.stop();
      stream.close();
    };
  }, [again.value]);
  if (!list.value) return error.value ? <Trouble error={error.value} again={() => (again.value += 1)} /> : <Loading tall />;
  const after = () => (again.value += 1);
  if (name === 'new') return <TargetFormPage kinds={kinds.value} target={null} after={after} />;
  if (name !== null) {
    const target = list.value.find((one) => one.name.toLowerCase() === name.toLowerCase());
    if (!target) return <Trouble error={new Error(m.compute.unknown(printable(name, 60)))} />;
    return <Detail key={target.name} target={target} kinds={kinds.value} after={after} />;
  }
  const groups: [string, Target[]][] = [
    [m.compute.groups.local, list.value.filter((one) => one.type === 'local')],
    [m.compute.groups.created, list.value.filter((one) => one.type !== 'local' && verbOf(one, kinds.value) === 'create')],
    [m.compute.groups.attached, list.value.filter((one) => one.type !== 'local' && verbOf(one, kinds.value) !== 'create')],
  ];
  const makers = kinds.value.filter((kind) => kind.verb !== 'update');
  return (
    <>
      <div class="head">
        <Title text={m.compute.title} />
        {!readOnly() && <div class="end">{makers.map((kind) => <a key={`${kind.verb} ${kind.kind}`} class="button small" href={`/compute/new?verb=${encodeURIComponent(kind.verb)}&kind=${encodeURIComponent(kind.kind)}`}>{m.compute.make(kind.verb, kind.kind)}</a>)}</div>}
      </div>
      {groups.filter(([, targets]) => targets.length > 0).map(([title, targets]) => (
        <section key={title} class="panel">
          <header><h2>{title}</h2></header>
          <div class="scroll" tabIndex={0} role="region" aria-label={title}>
            <table>
              <thead>
                <tr>
                  <th scope="col">{m.compute.name}</th>
                  <th scope="col">{m.compute.kind}</th>
                  <th scope="col">{m.compute.state}</th>
                  <th scope="col" class="num">{m.compute.running}</th>
                  <th scope="col" class="num">{m.compute.capacity}</th>
                  <th scope="col" class="num">{m.compute.queued}</th>
                  <th scope="col">{m.compute.has}</th>
                </tr>
              </thead>
              <tbody>
                {targets.map((target) => (
                  <tr key={target.name}>
                    <td><a href={`/compute/${encodeURIComponent(target.name)}`}>{printable(target.name, 60)}</a></td>
                    <td>{printable(target.type ?? '', 30)}</td>
                    <td><Condition target={target} /></td>
                    <td class="num">{count(target.usage.running)}</td>
                    <td class="num">{capacity(target)}</td>
                    <td class="num">{count(target.usage.queued)}</td>
                    <td class="dim">{printable(has(target), 200)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </section>
      ))}
      {list.value.length === 1 && <p class="note">{m.compute.onlyLocal}</p>}
    </>
  );
}

/** Whether a target of that kind is made or attached. */
function verbOf(target: Target, kinds: TargetKind[]): string {
  return kinds.find((kind) => kind.kind === target.type && kind.verb !== 'update')?.verb ?? 'attach';
}

function capacity(target: Target): string {
  if (typeof target.slots === 'number') return count(target.slots);
  return target.type === 'local' ? m.compute.asSweep : m.none;
}

function has(target: Target): string {
  const { machine } = target;
  const node = target.node as { cpus?: number; memory_gib?: number; gpus?: number } | undefined;
  if (node && typeof node === 'object') return m.compute.node(node.cpus ?? 0, node.memory_gib ?? 0, node.gpus ?? 0);
  if (machine) return `${m.compute.coreCount(machine.cores)}${machine.memory_bytes ? `, ${bytes(machine.memory_bytes)}` : ''}${machine.devices.length ? `, ${machine.devices.join(', ')}` : ''}`;
  return target.description ?? '';
}

function Condition({ target }: { target: Target }) {
  if (target.error) return <span class="state failed"><b aria-hidden="true">✗</b>{m.compute.broken}</span>;
  return <span class="state"><b aria-hidden="true">✓</b>{printable(typeof target.provisioning_state === 'string' ? target.provisioning_state : m.compute.ready, 40)}</span>;
}

const KNOWN = ['name', 'type', 'usage', 'machine', 'error', 'sweeps', 'slots', 'level', 'file', 'description'];

function Detail({ target, kinds, after }: { target: Target; kinds: TargetKind[]; after: () => void }) {
  const probe = useSignal<TargetProbe | null>(null);
  const testing = useSignal(false);
  const changing = useSignal(false);
  const local = target.type === 'local';
  const made = verbOf(target, kinds) === 'create';
  const changes = kinds.some((kind) => kind.verb === 'update' && kind.kind === target.type);
  const path = place`/targets/${target.name}`;
  const test = async () => {
    testing.value = true;
    try {
      probe.value = await send<TargetProbe>('POST', `${path}/actions`, { action: 'test' });
    } catch (error) {
      complain(error);
    }
    testing.value = false;
  };
  const remove = async () => {
    const busy = target.usage.sweeps.length;
    const word = made ? m.compute.delete : m.compute.detach;
    if (!(await ask(m.compute.removeAsk(printable(target.name, 60), made), busy ? m.compute.removeBusy(busy) : m.compute.removeHelp(made), word))) return;
    try {
      const force = busy > 0;
      if (made) await send('DELETE', `${path}${force ? '?force=true' : ''}`, undefined);
      else await send('POST', `${path}/actions`, { action: 'detach', force });
      say(m.done.request(word));
      after();
      go('/compute');
    } catch (error) {
      complain(error);
    }
  };
  if (changing.value) return <TargetFormPage kinds={kinds} target={target} after={() => { changing.value = false; after(); }} />;
  const facts = Object.entries(target).filter(([name, value]) => !KNOWN.includes(name) && value !== null && !(typeof value === 'object' && Object.keys(value as object).length === 0));
  return (
    <>
      <div>
        <div class="crumbs"><a href="/compute" data-up>{m.compute.title}</a> <span aria-hidden="true">/</span></div>
        <div class="head">
          <Title text={printable(target.name, 60)} />
          <Condition target={target} />
          {!readOnly() && (
            <div class="end">
              <button type="button" class="button small" disabled={testing.value} onClick={() => void test()}>{testing.value ? m.compute.testing : m.compute.test}</button>
              {changes && !target.error && <button type="button" class="button small" onClick={() => (changing.value = true)}>{m.compute.change}</button>}
              {!local && <button type="button" class="button small danger" onClick={() => void remove()}>{made ? m.compute.delete : m.compute.detach}</button>}
            </div>
          )}
        </div>
      </div>
      {target.error && <div class="problem" role="alert"><span class="wrap">{printable(target.error, 1000)}</span></div>}
      <section class="answers">
        <div><span class="label">{m.compute.running}</span><span class="big">{count(target.usage.running)}</span><span class="dim">{target.usage.running ? '' : m.compute.idle}</span></div>
        <div><span class="label">{m.compute.capacity}</span><span class="big">{capacity(target)}</span><span class="dim">{m.compute.wanted(target.usage.wanted)}</span></div>
        <div><span class="label">{m.compute.queued}</span><span class="big">{count(target.usage.queued)}</span></div>
        <div><span class="label">{m.compute.has}</span><span class="wrap">{printable(has(target), 300) || m.none}</span>{target.machine?.memory_free_bytes ? <span class="dim">{m.compute.free(bytes(target.machine.memory_free_bytes))}</span> : null}</div>
      </section>
      {probe.value && <Probe probe={probe.value} />}
      <div class="grid-even">
        <section class="panel">
          <header><h2>{m.compute.details}</h2></header>
          <dl class="kv">
            <dt>{m.compute.kind}</dt><dd>{printable(target.type ?? m.none, 40)}</dd>
            {target.description ? <><dt>{m.compute.description}</dt><dd>{printable(target.description, 400)}</dd></> : null}
            {facts.map(([name, value]) => <Fact key={name} name={name} value={value as Value} />)}
            {typeof target.file === 'string' && <><dt>{m.compute.file}</dt><dd class="mono">{printable(target.file, 400)}</dd></>}
          </dl>
        </section>
        <section class="panel">
          <header><h2>{m.compute.used}</h2></header>
          <ul class="list">
            {target.usage.sweeps.map((sweep) => (
              <li key={sweep.sweep}>
                <a href={sweepPath(sweep.sweep)}>{printable(sweep.experiment, 80)}</a> <State state={sweep.state} />
                <span class="dim">{m.compute.ofSweep(sweep.running, sweep.max_concurrent_runs)}</span>
              </li>
            ))}
            {!target.usage.sweeps.length && <li class="dim">{m.compute.idle}</li>}
          </ul>
        </section>
      </div>
    </>
  );
}

function Fact({ name, value }: { name: string; value: Value }) {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
    return <>{Object.entries(value).filter(([, inner]) => inner !== null).map(([key, inner]) => <Fact key={key} name={`${name}.${key}`} value={inner} />)}</>;
  }
  return (
    <>
      <dt>{printable(name, 60)}</dt>
      <dd>{Array.isArray(value) ? printable(value.map(String).join(', '), 400) : number(value)}</dd>
    </>
  );
}

function Probe({ probe }: { probe: TargetProbe }) {
  return (
    <section class="panel" aria-live="polite">
      <header><h2>{m.compute.probe}</h2><span class={`end strong ${probe.ok ? '' : 'bad'}`}>{probe.ok ? `✓ ${m.compute.passes}` : `✗ ${m.compute.fails}`}</span></header>
      <div class="scroll" tabIndex={0} role="region" aria-label={m.compute.probe}>
        <table>
          <thead><tr><th scope="col">{m.compute.step}</th><th scope="col">{m.compute.result}</th><th scope="col" class="num">{m.compute.took}</th><th scope="col">{m.compute.found}</th></tr></thead>
          <tbody>
            {probe.steps.map((step) => (
              <tr key={step.step}>
                <td>{printable(step.step, 60)}</td>
                <td class={step.ok ? '' : step.needed ? 'bad' : 'warn'}>{step.ok ? `✓ ${m.compute.ok}` : step.needed ? `✗ ${m.compute.failed}` : `▲ ${m.compute.missing}`}</td>
                <td class="num" title={String(step.milliseconds)}>{step.milliseconds < 1000 ? `${number(step.milliseconds)} ms` : duration(step.milliseconds)}</td>
                <td class="free">{printable(step.found, 600)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
