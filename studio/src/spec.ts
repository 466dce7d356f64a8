// A sweep as the form holds it, and the hdconfig that says the same.

/** What an expression takes; `ln` numbers are written as natural logarithms. */
export const EXPRESSIONS: Record<string, { name: string; ln?: boolean }[]> = {
  choice: [],
  uniform: [{ name: 'low' }, { name: 'high' }],
  quniform: [{ name: 'low' }, { name: 'high' }, { name: 'q' }],
  loguniform: [{ name: 'low', ln: true }, { name: 'high', ln: true }],
  qloguniform: [{ name: 'low', ln: true }, { name: 'high', ln: true }, { name: 'q' }],
  normal: [{ name: 'mu' }, { name: 'sigma' }],
  qnormal: [{ name: 'mu' }, { name: 'sigma' }, { name: 'q' }],
  lognormal: [{ name: 'lnMu' }, { name: 'lnSigma' }],
  qlognormal: [{ name: 'lnMu' }, { name: 'lnSigma' }, { name: 'q' }],
  randint: [{ name: 'upper' }],
};

export const SAMPLINGS = ['random', 'bayesian', 'grid'];

/** Fields of the policies, with what they are by default. */
export const POLICIES: Record<string, Record<string, string>> = {
  none: {},
  BanditPolicy: { slack_factor: '0.2', slack_amount: '', evaluation_interval: '1', delay_evaluation: '3' },
  MedianStoppingPolicy: { evaluation_interval: '1', delay_evaluation: '5' },
  TruncationSelectionPolicy: { truncation_percentage: '20', evaluation_interval: '1', delay_evaluation: '5' },
};

export interface SpecParameter {
  name: string;
  expression: string;
  /** As typed: options of a choice in one text, else one text per number. */
  values: string[];
}

export interface Spec {
  sampling: string;
  parameters: SpecParameter[];
  policy: string;
  settings: Record<string, string>;
  metric: string;
  goal: 'maximize' | 'minimize';
  total: string;
  concurrent: string;
  minutes: string;
}

export function blank(): Spec {
  return {
    sampling: 'random',
    parameters: [
      { name: '--learning_rate', expression: 'loguniform', values: ['0.001', '0.5'] },
      { name: '--batch_size', expression: 'choice', values: ['16, 32, 64, 128'] },
    ],
    policy: 'BanditPolicy',
    settings: { ...POLICIES.BanditPolicy },
    metric: 'loss',
    goal: 'minimize',
    total: '24',
    concurrent: '2',
    minutes: '60',
  };
}

/** A word of YAML: as it is if nothing in it means something, else in quotes. */
export function scalar(text: string): string {
  return /^[A-Za-z0-9_./-][A-Za-z0-9_./+-]*$/.test(text) && !/^(---|-)$/.test(text) ? text : JSON.stringify(text);
}

/** A number of YAML; what is none stands as typed, in quotes, for the findings to tell. */
function real(text: string): string {
  const typed = text.trim();
  return typed !== '' && Number.isFinite(Number(typed)) ? typed : JSON.stringify(typed);
}

function logarithm(text: string): string {
  const value = Number(text.trim());
  return text.trim() !== '' && value > 0 && Number.isFinite(value) ? String(Number(Math.log(value).toPrecision(9))) : JSON.stringify(text.trim());
}

/** Options between commas; quotes hold commas together and keep numbers texts. */
export function options(text: string): string[] {
  const found: string[] = [];
  for (const match of text.matchAll(/\s*("(?:[^"\\]|\\.)*"|[^,]*)\s*(,|$)/g)) {
    const typed = match[1]!.trim();
    if (typed) found.push(typed.startsWith('"') && typed.length > 1 && typed.endsWith('"') ? typed : scalar(typed));
    if (match[2] !== ',') break;
  }
  return found;
}

/** The hdconfig of a form, and on which lines each parameter stands. */
export function write(spec: Spec): { text: string; places: [number, number][] } {
  const lines = ['sampling:', `  type: ${spec.sampling}`, '  parameter_space:'];
  const places: [number, number][] = [];
  for (const parameter of spec.parameters) {
    const takes = EXPRESSIONS[parameter.expression] ?? [];
    const values = parameter.expression === 'choice' ? options(parameter.values[0] ?? '') : takes.map((field, i) => (field.ln ? logarithm(parameter.values[i] ?? '') : real(parameter.values[i] ?? '')));
    const first = lines.length + 1;
    const said = takes.some((field) => field.ln) ? `    # natural logarithms: ${(parameter.values[0] ?? '').trim()} to ${(parameter.values[1] ?? '').trim()}`.replace(/[\r\n]/g, ' ') : '';
    lines.push(`    - name: ${scalar(parameter.name)}`, `      expression: ${parameter.expression}`, `      values: [${values.join(', ')}]${said}`);
    places.push([first, lines.length]);
  }
  if (!spec.parameters.length) lines[2] += ' []';
  if (spec.policy !== 'none') {
    lines.push('policy:', `  type: ${spec.policy}`);
    for (const name of Object.keys(POLICIES[spec.policy] ?? {})) {
      const value = spec.settings[name]?.trim() ?? '';
      if (value) lines.push(`  ${name}: ${real(value)}`);
    }
  }
  lines.push(`primary_metric_name: ${scalar(spec.metric)}`, `primary_metric_goal: ${spec.goal}`);
  for (const [name, value] of [['max_total_runs', spec.total], ['max_concurrent_runs', spec.concurrent], ['max_duration_minutes', spec.minutes]] as const) if (value.trim()) lines.push(`${name}: ${real(value)}`);
  return { text: `${lines.join('\n')}\n`, places };
}
