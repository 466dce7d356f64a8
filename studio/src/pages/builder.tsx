// The form of a new sweep: a space from all ten expressions, a policy, a metric, limits. What it writes is checked like any text.
import { EXPRESSIONS, POLICIES, SAMPLINGS, type Spec, type SpecParameter } from '../spec';
import { printable } from '../format';
import { m } from '../messages';
import { Words } from '../parts/ui';
import type { Diagnostic } from '../types';

interface Props {
  spec: Spec;
  places: [number, number][];
  findings: Diagnostic[];
  onSpec: (spec: Spec) => void;
}

function Text({ label, value, onValue, wide }: { label: string; value: string; onValue: (value: string) => void; wide?: boolean }) {
  return (
    <label class={`field ${wide ? 'wide' : ''}`}>
      <span>{label}</span>
      <input type="text" value={value} spellcheck={false} autocapitalize="off" onInput={(event) => onValue(event.currentTarget.value)} />
    </label>
  );
}

function Choose({ label, value, of, words, onValue }: { label: string; value: string; of: string[]; words?: Record<string, string>; onValue: (value: string) => void }) {
  return (
    <label class="field">
      <span>{label}</span>
      <select value={value} onChange={(event) => onValue(event.currentTarget.value)}>
        {of.map((one) => <option key={one} value={one}>{words?.[one] ?? one}</option>)}
      </select>
    </label>
  );
}

export function Builder({ spec, places, findings, onSpec }: Props) {
  const b = m.builder;
  const change = (part: Partial<Spec>) => onSpec({ ...spec, ...part });
  const parameter = (at: number, part: Partial<SpecParameter>) => change({ parameters: spec.parameters.map((one, i) => (i === at ? { ...one, ...part } : one)) });
  const of = (at: number) => findings.filter((finding) => finding.line && finding.line >= (places[at]?.[0] ?? 0) && finding.line <= (places[at]?.[1] ?? -1));
  return (
    <div class="builder">
      <fieldset>
        <legend>{b.space}</legend>
        <Choose label={b.sampling} value={spec.sampling} of={SAMPLINGS} onValue={(sampling) => change({ sampling })} />
        <ol class="parameters">
          {spec.parameters.map((one, at) => {
            const fields = EXPRESSIONS[one.expression] ?? [];
            const wrong = of(at);
            return (
              <li key={at}>
                <div class="row-fields">
                  <Text label={b.name} value={one.name} onValue={(name) => parameter(at, { name })} />
                  <Choose label={b.expression} value={one.expression} of={Object.keys(EXPRESSIONS)} words={b.expressions} onValue={(expression) => parameter(at, { expression, values: (EXPRESSIONS[expression] ?? []).length === fields.length ? one.values : [] })} />
                  {one.expression === 'choice' ? (
                    <Text wide label={b.options} value={one.values[0] ?? ''} onValue={(value) => parameter(at, { values: [value] })} />
                  ) : (
                    fields.map((field, i) => (
                      <Text key={field.name} label={b.fields[field.name] ?? field.name} value={one.values[i] ?? ''} onValue={(value) => parameter(at, { values: fields.map((_, j) => (j === i ? value : (one.values[j] ?? ''))) })} />
                    ))
                  )}
                  <button type="button" class="button small" aria-label={b.remove(printable(one.name, 60))} onClick={() => change({ parameters: spec.parameters.filter((_, i) => i !== at) })}>×</button>
                </div>
                {wrong.map((finding, i) => (
                  <p key={i} class={`problem ${finding.severity === 'error' ? '' : finding.severity}`}>
                    <span class="wrap"><Words text={finding.message} /></span>
                    {finding.help?.map((line) => <span key={line} class="wrap dim"><Words text={line} /></span>)}
                  </p>
                ))}
              </li>
            );
          })}
        </ol>
        <div><button type="button" class="button small" onClick={() => change({ parameters: [...spec.parameters, { name: '--', expression: 'uniform', values: ['0', '1'] }] })}>{b.add}</button></div>
      </fieldset>
      <fieldset>
        <legend>{b.policy}</legend>
        <div class="row-fields">
          <Choose label={b.policy} value={spec.policy} of={Object.keys(POLICIES)} words={b.policies} onValue={(policy) => change({ policy, settings: { ...POLICIES[policy] } })} />
          {Object.keys(POLICIES[spec.policy] ?? {}).map((name) => (
            <Text key={name} label={name} value={spec.settings[name] ?? ''} onValue={(value) => change({ settings: { ...spec.settings, [name]: value } })} />
          ))}
        </div>
      </fieldset>
      <fieldset>
        <legend>{b.goal}</legend>
        <div class="row-fields">
          <Text label="primary_metric_name" value={spec.metric} onValue={(metric) => change({ metric })} />
          <Choose label="primary_metric_goal" value={spec.goal} of={['maximize', 'minimize']} onValue={(goal) => change({ goal: goal as Spec['goal'] })} />
          <Text label="max_total_runs" value={spec.total} onValue={(total) => change({ total })} />
          <Text label="max_concurrent_runs" value={spec.concurrent} onValue={(concurrent) => change({ concurrent })} />
          <Text label="max_duration_minutes" value={spec.minutes} onValue={(minutes) => change({ minutes })} />
        </div>
      </fieldset>
    </div>
  );
}
