// Preferences, and what this is.
import { m } from '../messages';
import { printable } from '../format';
import { change, settings } from '../settings';
import { about } from '../state';
import { Loading, Title } from '../parts/ui';

export function SettingsPage() {
  const now = settings.value;
  const choice = <T extends string>(label: string, name: 'theme' | 'density', words: Record<string, string>, value: T) => (
    <fieldset class="panel">
      <legend class="label">{label}</legend>
      <div class="row">
        {Object.entries(words).map(([key, text]) => (
          <label key={key} class="check">
            <input type="radio" name={name} checked={value === key} onChange={() => change({ [name]: key } as never)} /> {text}
          </label>
        ))}
      </div>
    </fieldset>
  );
  return (
    <>
      <div class="head"><Title text={m.settings.title} /><span class="dim">{m.settings.stored}</span></div>
      {choice(m.settings.theme, 'theme', m.settings.themes, now.theme)}
      {choice(m.settings.density, 'density', m.settings.densities, now.density)}
      <section class="panel">
        <label class="check">
          <input type="checkbox" checked={now.keys} onChange={(event) => change({ keys: event.currentTarget.checked })} /> {m.settings.keys} <span class="dim">({m.settings.keysHelp})</span>
        </label>
      </section>
      <section class="panel">
        <div class="row">
          <label class="field">
            <span>{m.settings.price}</span>
            <input
              type="number"
              min={0}
              step="any"
              value={now.price ?? ''}
              onInput={(event) => {
                const price = event.currentTarget.valueAsNumber;
                change({ price: Number.isFinite(price) && price >= 0 ? price : null });
              }}
            />
          </label>
          <label class="field">
            <span>{m.settings.currency}</span>
            <input type="text" maxLength={8} value={now.currency} onInput={(event) => change({ currency: event.currentTarget.value })} />
          </label>
        </div>
        <p class="note">{m.settings.priceHelp}</p>
      </section>
    </>
  );
}

export function About() {
  const now = about.value;
  if (!now) return <Loading />;
  return (
    <>
      <div class="head"><Title text={m.about.title} /></div>
      <section class="panel">
        <dl class="kv">
          <dt>{m.product}</dt><dd>{m.about.version} {printable(now.version, 40)}</dd>
          <dt>{m.about.state}</dt><dd class="mono">{printable(now.state_folder, 400)}</dd>
          <dt>{m.about.project}</dt><dd class="mono">{printable(now.project_folder, 400)}</dd>
          <dt>{m.about.mode}</dt><dd>{now.read_only ? m.readOnly : m.about.writable}</dd>
          <dt>{m.about.api}</dt><dd><a href="/api/v1/openapi.json" target="_blank" rel="noreferrer">/api/v1/openapi.json</a></dd>
          <dt>{m.about.licences}</dt><dd>{m.about.licenceList}</dd>
        </dl>
      </section>
    </>
  );
}
