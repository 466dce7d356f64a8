// A new sweep: text left, findings as one types right, what would run, start.
import { useSignal } from '@preact/signals';
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks';
import { get, place, send } from '../api';
import { draft, form } from '../draft';
import { count, number, printable } from '../format';
import { m } from '../messages';
import { Loading, Title, Trouble, Words, ask, complain, say } from '../parts/ui';
import { go, query, sweepPath } from '../router';
import { readOnly } from '../state';
import { blank, write } from '../spec';
import type { Checked, Diagnostic, SweepDetail } from '../types';
import { Builder } from './builder';

const SAMPLE = `sampling:
  type: bayesian
  parameter_space:
    - name: --learning_rate
      expression: loguniform
      values: [-6.9, -0.7]        # natural logarithms: 0.001 to 0.5
    - name: --batch_size
      expression: choice
      values: [16, 32, 64, 128]
policy:
  type: BanditPolicy
  evaluation_interval: 1
  delay_evaluation: 3
  slack_factor: 0.2
primary_metric_name: loss
primary_metric_goal: minimize
max_total_runs: 24
max_concurrent_runs: 2
max_duration_minutes: 60
`;

const CHECK_MS = 250;

export function Create() {
  const from = query.value.get('from');
  const text = useSignal(draft.value?.text ?? (from ? '' : SAMPLE));
  const fields = useSignal({ name: draft.value?.name ?? 'hdconfig.yml', source_directory: '.', script: '', run_configuration: '', experiment: '', display_name: '' });
  const checked = useSignal<Checked | null>(null);
  const checking = useSignal(false);
  /** The text that `checked` is about. */
  const of = useRef('');
  const error = useSignal<unknown>(null);
  const busy = useSignal(false);
  const spec = form.value;
  const written = useMemo(() => (spec ? write(spec) : null), [spec]);
  const area = useRef<HTMLTextAreaElement>(null);

  useEffect(() => {
    if (!from || draft.value) return;
    get<SweepDetail>(place`/sweeps/${from}`).then((detail) => {
      if (text.value === '') text.value = detail.source?.text ?? SAMPLE;
      const folder = detail.source?.path.split('/').slice(0, -1).join('/') ?? '';
      fields.value = { ...fields.value, name: detail.source?.name ?? 'hdconfig.yml', experiment: detail.experiment, source_directory: folder || '.' };
    }, complain);
  }, [from]);

  // The form decides what the text is, as long as it is used.
  useEffect(() => {
    if (written && text.value !== written.text) text.value = written.text;
  }, [written]);

  const toForm = async () => {
    if (text.value.trim() !== '' && text.value !== SAMPLE && !(await ask(m.builder.replaceAsk, m.builder.replaceHelp, m.builder.replace))) return;
    form.value = blank();
  };

  const body = () => ({ text: text.value, ...Object.fromEntries(Object.entries(fields.value).filter(([, value]) => value.trim() !== '')) });

  // Before the next key or click: what was typed last must not be started as if it had been checked.
  useLayoutEffect(() => {
    const stop = new AbortController();
    const asked = text.value;
    checking.value = true;
    const timer = window.setTimeout(() => {
      send<Checked>('POST', '/check', body(), stop.signal).then(
        (answer) => {
          checked.value = answer;
          of.current = asked;
          checking.value = false;
          error.value = null;
        },
        (problem: unknown) => {
          if (stop.signal.aborted) return;
          error.value = problem;
          checking.value = false;
        },
      );
    }, CHECK_MS);
    draft.value = { name: fields.value.name, text: text.value };
    return () => {
      window.clearTimeout(timer);
      stop.abort();
    };
  }, [text.value, fields.value]);

  const start = async () => {
    busy.value = true;
    try {
      const answer = await send<{ sweep: string | null }>('POST', '/sweeps', body());
      draft.value = null;
      form.value = null;
      if (answer.sweep) {
        say(m.done.submitted);
        go(sweepPath(answer.sweep));
      } else {
        say(m.create.preparing);
        go('/');
      }
    } catch (problem) {
      complain(problem);
    }
    busy.value = false;
  };

  const set = (name: keyof typeof fields.value) => (event: Event) => {
    fields.value = { ...fields.value, [name]: (event.currentTarget as HTMLInputElement).value };
  };
  const field = (name: keyof typeof fields.value, label: string, help?: string) => (
    <label class="field">
      <span>{label}{help ? ` (${help})` : ''}</span>
      <input type="text" value={fields.value[name]} onInput={set(name)} spellcheck={false} />
    </label>
  );

  const findings = checked.value?.items ?? [];
  const errors = findings.filter((one) => one.severity === 'error').length;
  const warnings = findings.filter((one) => one.severity === 'warning').length;
  const jump = (finding: Diagnostic) => {
    const element = area.current;
    if (!element || !finding.line) return;
    const at = offset(text.value, finding.line, finding.column ?? 1);
    const end = finding.end_line ? offset(text.value, finding.end_line, finding.end_column ?? 1) : at + 1;
    element.focus();
    element.setSelectionRange(at, Math.max(at + 1, end));
    element.scrollTop = Math.max(0, (finding.line - 6) * 20);
  };
  const take = (finding: Diagnostic) => {
    const { suggestion } = finding;
    // Its place is one in the text that was checked, in bytes of UTF-8.
    if (!suggestion || of.current !== text.value) return;
    const raw = new TextEncoder().encode(text.value);
    const decode = new TextDecoder();
    text.value = decode.decode(raw.slice(0, suggestion.start)) + suggestion.text + decode.decode(raw.slice(suggestion.end));
  };
  const plan = checked.value?.plan;
  const ready = !busy.value && !readOnly() && checked.value?.ok === true && !checking.value;
  return (
    <div
      class="page"
      onKeyDown={(event) => {
        if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey) || !ready) return;
        event.preventDefault();
        void start();
      }}
    >
      <div class="head">
        <Title text={m.create.title} />
        <div class="end">
          <fieldset class="switch">
            <legend class="visually-hidden">{m.builder.mode}</legend>
            <label><input type="radio" name="mode" checked={spec === null} onChange={() => (form.value = null)} /> {m.builder.text}</label>
            <label><input type="radio" name="mode" checked={spec !== null} onChange={(event) => { event.currentTarget.checked = spec !== null; void toForm(); }} /> {m.builder.form}</label>
          </fieldset>
          {!spec && <button type="button" class="button small" onClick={() => (text.value = SAMPLE)}>{m.create.sample}</button>}
          <button type="button" class="button primary" disabled={!ready} aria-keyshortcuts="Control+Enter" onClick={() => void start()}>
            {busy.value ? m.create.starting : m.create.start}
          </button>
        </div>
      </div>
      {readOnly() && <p class="note">{m.readOnly}</p>}
      <div class="editor">
        <section class="panel">
          {spec && written ? (
            <>
              <Builder spec={spec} places={written.places} findings={findings} onSpec={(next) => (form.value = next)} />
              <details>
                <summary>{m.builder.preview}</summary>
                <div class="code" tabIndex={0} role="region" aria-label={m.builder.preview}>{written.text}</div>
                <button type="button" class="button small" onClick={() => (form.value = null)}>{m.builder.toText}</button>
              </details>
            </>
          ) : (
            <Editor text={text.value} findings={findings} onText={(next) => (text.value = next)} area={area} />
          )}
          <div class="grid-small">
            {field('source_directory', m.create.folder, m.create.folderHelp)}
            {field('script', m.create.script, m.create.optional)}
            {field('run_configuration', m.create.runconfig, m.create.optional)}
            {field('experiment', m.create.experiment, m.create.optional)}
            {field('display_name', m.create.name, m.create.optional)}
            {field('name', m.create.file)}
          </div>
        </section>
        <div style={{ display: 'grid', gap: '16px', gridTemplateColumns: 'minmax(0, 1fr)' }}>
          <section class="panel" aria-live="polite">
            <header><h2>{checking.value && !checked.value ? m.create.checking : m.create.problems(errors, warnings)}</h2></header>
            {error.value ? <Trouble error={error.value} what={m.notDone} /> : null}
            {findings.map((finding, i) => (
              <div key={i} class={`problem ${finding.severity === 'error' ? '' : finding.severity}`}>
                <div class="row">
                  <strong class="mono">{printable(finding.severity, 20)}[{printable(finding.slug, 60)}]</strong>
                  {finding.line ? <button type="button" class="link-button" onClick={() => jump(finding)}>{m.create.line(finding.line)}</button> : null}
                </div>
                <span class="wrap"><Words text={finding.message} /></span>
                {finding.expected && <span class="wrap dim">{m.create.expected}: <Words text={finding.expected} /></span>}
                {finding.help?.map((line) => <span key={line} class="wrap">{m.create.help}: <Words text={line} /></span>)}
                {finding.suggestion && <div><button type="button" class="button small" onClick={() => take(finding)}><Words text={m.create.take(finding.suggestion.text)} /></button></div>}
              </div>
            ))}
          </section>
          <section class="panel">
            <header><h2>{m.create.plan}</h2></header>
            {plan ? (
              <dl class="kv">
                <dt>{m.create.dialect}</dt><dd>{printable(plan.dialect, 40)}</dd>
                <dt>{m.create.sampler}</dt><dd>{printable(plan.sampler, 40)}</dd>
                <dt>{m.create.policy}</dt><dd>{printable(plan.policy, 40)}</dd>
                <dt>{m.create.metric}</dt><dd>{printable(plan.metric ?? m.none, 80)} {plan.goal ?? ''}</dd>
                <dt>{m.create.limits}</dt><dd>{m.create.runs(plan.max_total_runs, plan.max_concurrent_runs)}</dd>
                <dt>{m.create.targets}</dt><dd>{printable(plan.targets.join(', '), 200)}</dd>
                <dt>{m.create.space}</dt>
                <dd>
                  {plan.parameters.map((parameter) => parameter.size ?? m.create.infinite).join(' × ')}
                  {plan.size !== null ? ` = ${count(plan.size)}` : ''}
                  <ul>
                    {plan.parameters.map((parameter) => (
                      <li key={parameter.name} class="mono wrap">{printable(parameter.name, 80)} {printable(parameter.distribution, 40)} {parameter.size === null ? '' : number(parameter.size)}</li>
                    ))}
                  </ul>
                </dd>
              </dl>
            ) : checked.value ? (
              <p class="dim">{m.none}</p>
            ) : (
              <Loading />
            )}
          </section>
        </div>
      </div>
    </div>
  );
}

function offset(text: string, line: number, column: number): number {
  let at = 0;
  for (let i = 1; i < line; i++) {
    const next = text.indexOf('\n', at);
    if (next < 0) return text.length;
    at = next + 1;
  }
  // Columns count characters, not UTF-16 units.
  let left = column - 1;
  for (const c of text.slice(at)) {
    if (left-- <= 0) break;
    at += c.length;
  }
  return Math.min(at, text.length);
}

function Editor({ text, findings, onText, area }: { text: string; findings: Diagnostic[]; onText: (text: string) => void; area: { current: HTMLTextAreaElement | null } }) {
  const under = useRef<HTMLPreElement>(null);
  const gutter = useRef<HTMLDivElement>(null);
  const lines = text.split('\n').length;
  const worst = new Map<number, string>();
  for (const finding of findings) if (finding.line && worst.get(finding.line) !== 'error') worst.set(finding.line, finding.severity);
  const marked = useMemo(() => {
    const spans = findings
      .filter((finding) => finding.line && finding.severity !== 'note')
      .map((finding) => {
        const start = offset(text, finding.line!, finding.column ?? 1);
        const end = Math.max(start + 1, finding.end_line ? offset(text, finding.end_line, finding.end_column ?? 1) : start + 1);
        return { start, end, severity: finding.severity };
      })
      .sort((a, b) => a.start - b.start);
    const parts: { text: string; severity: string | null }[] = [];
    let at = 0;
    for (const span of spans) {
      if (span.start < at) continue;
      parts.push({ text: text.slice(at, span.start), severity: null }, { text: text.slice(span.start, span.end), severity: span.severity });
      at = span.end;
    }
    parts.push({ text: `${text.slice(at)}\n`, severity: null });
    return parts;
  }, [text, findings]);
  return (
    <div class="code-edit">
      <div class="gutter" ref={gutter} aria-hidden="true">
        {Array.from({ length: Math.min(lines, 5000) }, (_, i) => {
          const bad = worst.get(i + 1);
          return <div key={i} class={bad ?? ''}>{bad === 'error' ? '✗' : bad === 'warning' ? '▲' : ''}{i + 1}</div>;
        })}
      </div>
      <div class="area">
        <pre ref={under} aria-hidden="true">{marked.map((part, i) => (part.severity ? <mark key={i} class={part.severity}>{part.text}</mark> : part.text))}</pre>
        <textarea
          ref={area}
          aria-label={m.create.editor}
          spellcheck={false}
          autocapitalize="off"
          wrap="off"
          value={text}
          onInput={(event) => onText(event.currentTarget.value)}
          onScroll={(event) => {
            const { scrollTop, scrollLeft } = event.currentTarget;
            if (under.current) {
              under.current.scrollTop = scrollTop;
              under.current.scrollLeft = scrollLeft;
            }
            if (gutter.current) gutter.current.scrollTop = scrollTop;
          }}
        />
      </div>
    </div>
  );
}
