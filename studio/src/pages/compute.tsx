// Compute targets: capacity, state, what runs on them.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { get } from '../api';
import { bytes, count, printable } from '../format';
import { follow, throttle } from '../live';
import { m } from '../messages';
import { Loading, State, Trouble } from '../parts/ui';
import { sweepPath } from '../router';
import type { List, Target } from '../types';

export function Compute({ name }: { name: string | null }) {
  const list = useSignal<Target[] | null>(null);
  const error = useSignal<unknown>(null);
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
    void load();
    const beat = throttle(2000, load);
    const stream = follow(null, null, beat.now, beat.now);
    return () => {
      stop.abort();
      beat.stop();
      stream.close();
    };
  }, []);
  if (!list.value) return error.value ? <Trouble error={error.value} /> : <Loading tall />;
  const shown = name ? list.value.filter((target) => target.name === name) : list.value;
  return (
    <>
      <div class="head"><h1>{m.compute.title}</h1></div>
      {shown.map((target) => {
        const busy = target.running_trials;
        const slots = Math.max(target.slots ?? 0, busy);
        return (
          <section key={target.name} class="panel">
            <header>
              <h2><a href={`/compute/${encodeURIComponent(target.name)}`}>{printable(target.name, 80)}</a></h2>
              <span class="dim">{printable(target.type, 40)}, {printable(target.location, 80)}</span>
              <span class="end strong">✓ {printable(target.state, 40)}</span>
            </header>
            <dl class="kv">
              <dt>{m.compute.running}</dt><dd>{busy ? count(busy) : m.compute.idle}{slots ? ` / ${count(slots)} ${m.compute.slots}` : ''}</dd>
              <dt>{m.compute.queued}</dt><dd>{count(target.queued_trials)}</dd>
              {target.cores !== undefined && <><dt>{m.compute.cores}</dt><dd>{count(target.cores)}</dd></>}
              {target.memory_bytes ? <><dt>{m.compute.memory}</dt><dd>{bytes(target.memory_bytes)}{target.memory_free_bytes ? `, ${m.compute.free(bytes(target.memory_free_bytes))}` : ''}</dd></> : null}
              <dt>{m.compute.devices}</dt><dd>{target.devices?.length ? printable(target.devices.join(', '), 300) : m.none}</dd>
              {target.provisioning_errors ? <><dt>{m.sweep.trouble}</dt><dd class="bad wrap">{printable(JSON.stringify(target.provisioning_errors), 600)}</dd></> : null}
            </dl>
            {target.sweeps && target.sweeps.length > 0 && (
              <>
                <h3>{m.compute.used}</h3>
                <ul class="list">
                  {target.sweeps.map((sweep) => (
                    <li key={sweep.sweep}>
                      <a href={sweepPath(sweep.sweep)}>{printable(sweep.experiment, 80)}</a> <State state={sweep.state} />
                      <span class="dim">{count(sweep.running ?? 0)} / {count(sweep.max_concurrent_runs)}</span>
                    </li>
                  ))}
                </ul>
              </>
            )}
          </section>
        );
      })}
      {name && !shown.length && <p>{m.notFound}</p>}
    </>
  );
}
