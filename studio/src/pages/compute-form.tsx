// Forms that make, attach or change a target. Their fields come from the server, which has them from the command line.
import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { place, send } from '../api';
import { printable } from '../format';
import { m } from '../messages';
import { Loading, Title, Trouble, Words, say } from '../parts/ui';
import { go, query, setQuery } from '../router';
import type { Target, TargetField, TargetKind, Value } from '../types';

export function TargetFormPage({ kinds, target, after }: { kinds: TargetKind[]; target: Target | null; after: () => void }) {
  const values = useSignal<Record<string, string | boolean>>({});
  const error = useSignal<unknown>(null);
  const busy = useSignal(false);
  const verb = target ? 'update' : (query.value.get('verb') ?? 'create');
  const makers = kinds.filter((kind) => (target ? kind.verb === 'update' && kind.kind === target.type : kind.verb !== 'update'));
  const wanted = query.value.get('kind');
  const kind = target ? makers[0] : (makers.find((one) => one.verb === verb && one.kind === wanted) ?? makers[0]);
  useEffect(() => {
    values.value = target && kind ? present(target, kind) : {};
    error.value = null;
  }, [kind?.verb, kind?.kind, target?.name]);
  if (!kind) return <Loading tall />;
  const fields = kind.fields.filter((field) => !(target && field.name === 'name'));
  const title = target ? m.compute.changeTitle(printable(target.name, 60)) : m.compute.make(kind.verb, kind.kind);
  const submit = async () => {
    busy.value = true;
    const said: Record<string, Value> = {};
    for (const field of fields) {
      const value = values.value[field.name];
      if (field.switch) {
        if (value === true) said[field.name] = true;
      } else if (typeof value === 'string' && value.trim() !== '') {
        said[field.name] = field.many ? value.split('\n').map((line) => line.trim()).filter(Boolean) : value.trim();
      }
    }
    try {
      const done = target
        ? await send<Target>('PATCH', place`/targets/${target.name}`, { kind: kind.kind, fields: said })
        : await send<Target>('POST', '/targets', { verb: kind.verb, kind: kind.kind, fields: said });
      say(m.done.saved);
      after();
      go(`/compute/${encodeURIComponent(done.name)}`);
    } catch (problem) {
      error.value = problem;
    }
    busy.value = false;
  };
  const main = fields.filter((field) => field.group === null);
  const groups = [...new Set(fields.map((field) => field.group).filter((group) => group !== null))];
  const show = (field: TargetField) => (
    <Field key={field.name} field={field} value={values.value[field.name]} onValue={(value) => (values.value = { ...values.value, [field.name]: value })} />
  );
  return (
    <>
      <div>
        <div class="crumbs"><a href="/compute" data-up>{m.compute.title}</a> <span aria-hidden="true">/</span></div>
        <div class="head"><Title text={title} /></div>
      </div>
      {!target && makers.length > 1 && (
        <nav class="tabs" aria-label={m.compute.kind}>
          {makers.map((one) => (
            <a
              key={`${one.verb} ${one.kind}`}
              href={`/compute/new?verb=${encodeURIComponent(one.verb)}&kind=${encodeURIComponent(one.kind)}`}
              aria-current={one === kind ? 'page' : undefined}
              onClick={(event) => {
                event.preventDefault();
                setQuery({ verb: one.verb, kind: one.kind });
              }}
            >
              {m.compute.make(one.verb, one.kind)}
            </a>
          ))}
        </nav>
      )}
      <form
        class="panel"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        {kind.about && <p class="dim"><Words text={kind.about} /></p>}
        {error.value ? <Trouble error={error.value} what={m.notDone} /> : null}
        <div class="grid-small">{main.map(show)}</div>
        {groups.map((group) => (
          <details key={group}>
            <summary>{printable(group, 120)}</summary>
            <div class="grid-small">{fields.filter((field) => field.group === group).map(show)}</div>
          </details>
        ))}
        <footer class="row">
          <button type="submit" class="button primary" disabled={busy.value}>{target ? m.limits.set : kind.verb === 'attach' ? m.compute.attach : m.compute.create}</button>
          <a class="button" href="/compute">{m.back}</a>
        </footer>
      </form>
    </>
  );
}

/** What a target says now, for the fields of its form. */
function present(target: Target, kind: TargetKind): Record<string, string | boolean> {
  const section = (target[kind.kind] ?? {}) as Record<string, Value>;
  const found: Record<string, string | boolean> = {};
  for (const field of kind.fields) {
    const value = section[field.name.replaceAll('-', '_')];
    if (value !== null && value !== undefined && typeof value !== 'object') found[field.name] = typeof value === 'boolean' ? value : String(value);
  }
  return found;
}

function Field({ field, value, onValue }: { field: TargetField; value: string | boolean | undefined; onValue: (value: string | boolean) => void }) {
  const text = typeof value === 'string' ? value : '';
  const label = `${field.name}${field.required ? '' : ` (${m.create.optional})`}`;
  const id = `field-${field.name}`;
  if (field.switch)
    return (
      <div class="field">
        <label class="check"><input type="checkbox" checked={value === true} aria-describedby={`${id}-about`} onChange={(event) => onValue(event.currentTarget.checked)} /> {field.name}</label>
        <span id={`${id}-about`} class="note"><Words text={field.about} /></span>
      </div>
    );
  // Secrets go through a variable or a private file; where the command line offers neither, it asks for them itself.
  const locked = field.secret && !field.variable && !field.file;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {field.choices.length > 0 ? (
        <select id={id} value={text || (field.default ?? '')} aria-describedby={`${id}-about`} onChange={(event) => onValue(event.currentTarget.value)}>
          {!field.default && <option value="">–</option>}
          {field.choices.map((choice) => <option key={choice} value={choice}>{choice}</option>)}
        </select>
      ) : field.many ? (
        <textarea id={id} rows={2} value={text} spellcheck={false} aria-describedby={`${id}-about`} onInput={(event) => onValue(event.currentTarget.value)} />
      ) : (
        <input id={id} {...(field.secret ? { type: 'password' as const, autocomplete: 'new-password' } : { type: 'text' as const, autocomplete: 'off' })} required={field.required} disabled={locked} value={text} placeholder={field.default ?? field.value ?? ''} aria-describedby={`${id}-about`} onInput={(event) => onValue((event.currentTarget as HTMLInputElement).value)} />
      )}
      <span id={`${id}-about`} class="note"><Words text={locked ? m.compute.secret : `${field.about}${field.many ? ` ${m.compute.oneALine}` : ''}`} /></span>
    </div>
  );
}
