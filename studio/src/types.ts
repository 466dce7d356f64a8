// Shapes of the API; the same as the CLI's `--json`. The description is at /api/v1/openapi.json.

export type Value = string | number | boolean | null | Value[] | { [name: string]: Value };
/** JSON has no NaN: such numbers come as words. */
export type Real = number | 'NaN' | 'Infinity' | '-Infinity' | 'inf' | '-inf';

export interface Best {
  trial: number;
  value: Real;
  step: number | null;
  parameters: Record<string, Value>;
}

export interface SweepRow {
  sweep: string;
  experiment: string;
  display_name: string | null;
  state: string;
  reason: string | null;
  metric: string | null;
  goal: 'maximize' | 'minimize' | null;
  file: string | null;
  folder: string;
  targets: string[];
  max_total_runs: number;
  max_concurrent_runs: number;
  max_duration_minutes: number | null;
  created: string;
  ended: string | null;
  duration_ms: number;
  trials: Record<string, number>;
  stopped_by_policy: number;
  best: Best | null;
  tags: Record<string, string>;
  notes: string | null;
  archived: boolean;
}

export interface Eta {
  middle_ms: number;
  low_ms: number;
  high_ms: number;
}

/** `[trials ended, milliseconds since creation, value]` at each new best. */
export type BestLine = [number, number, number][];

export interface SweepItem extends SweepRow {
  eta: Eta | null;
  spark: number[];
  led: boolean;
  cost: Cost | null;
}

/** Time of all ended trials together, and what the rest will take. */
export interface Cost {
  spent_ms: number;
  ahead_ms: number | null;
  spent: number | null;
  ahead: number | null;
}

export interface Stop {
  trial: number;
  interval: number;
  policy: string;
  value: number | null;
  threshold: number | null;
  operands: Record<string, number>;
  inequality: string;
}

export interface Origin {
  sampler: string;
  method: string;
  predicted?: { mean: number; low: number; high: number };
  notes?: string[];
}

export interface MetricPoint {
  seq: number;
  step: number;
  elapsed_ms: number;
  value: Real;
}

export interface TrialRow {
  trial: number;
  run_id: string;
  state: string;
  cause: string | null;
  reason: string | null;
  parameters: Record<string, Value>;
  best: number | null;
  best_interval: number | null;
  last: MetricPoint | null;
  reports: number;
  attempts: number;
  created: string;
  started: string | null;
  ended: string | null;
  duration_ms: number | null;
  stop: Stop | null;
  origin: Origin;
  folder: string | null;
  target: string | null;
}

export interface AttemptRow {
  trial: number;
  attempt: number;
  folder: string;
  target: string;
  nonce: string;
  outcome: ({ kind: 'completed' | 'canceled' | 'failed' } & Partial<Failure>) | null;
  superseded: boolean;
  argv: string[] | null;
}

export interface Failure {
  class: string;
  exit_code?: number;
  signal?: number;
  message: string;
}

export interface TrialDetail extends TrialRow {
  sweep: string;
  metric: string | null;
  goal: 'maximize' | 'minimize' | null;
  /** Its attempts. */
  items: AttemptRow[];
  metrics: MetricSummary[];
  facts: { kind: string; key: string; value: string }[];
  artifacts: { attempt: number; kind: string; name: string; path: string }[];
  rank: number | null;
  scored: number;
  environment: Record<string, string>;
}

export interface MetricSummary {
  name: string;
  trials: number;
  points: number;
}

export interface EventRow {
  seq: number;
  sweep: string;
  time: string;
  type: string;
  trial: number | null;
  data: Record<string, Value>;
}

export interface Summary {
  sweep: SweepRow;
  trials: TrialRow[];
  best_so_far: BestLine;
  eta: Eta | null;
  led: boolean;
  cost: Cost | null;
  trouble: TrialRow[];
  warnings: EventRow[];
  saved: { reports: number; of: number } | null;
  position: number;
}

export interface Distribution {
  type: string;
  options?: Value[];
  low?: number;
  high?: number;
  upper?: number;
  q?: number;
  base?: number;
  mu?: number;
  sigma?: number;
  log?: boolean;
}

export interface Parameter {
  name: string;
  distribution: Distribution;
  condition?: { parent: number; options: number[] } | null;
}

export interface SweepDetail extends SweepRow {
  items: TrialRow[];
  next: string | null;
  sweep_metrics: Record<string, { trial: number; values: Value[] }[]>;
  space: { parameters: Parameter[]; constraints?: Value[] };
  sampler: Record<string, Value>;
  policy: Record<string, Value>;
  seed: number;
  run_definition: Value;
  extensions: Record<string, Value>;
  source: { name: string; path: string; text: string } | null;
}

export interface List<T> {
  items: T[];
  /** Cursor of the page after this one. */
  next: string | null;
  total?: number;
}

export interface Points {
  metric: string | null;
  goal: 'maximize' | 'minimize' | null;
  trial: number[];
  state: number[];
  best: (number | null)[];
  reports: number[];
  duration_ms: (number | null)[];
  ended: (string | null)[];
  total: number;
  predicted: (number | null)[];
  parameters: Record<string, (Value | null)[]>;
  stops: { trial: number[]; interval: number[]; value: (number | null)[]; threshold: (number | null)[] };
}

export interface Importances {
  trials: number;
  methods: { method: string; items: { parameter: string; share: number; spread?: number | null }[] }[];
  missing: string | null;
}

export interface Surface {
  x: { name: string; values: Value[]; log: boolean };
  y: { name: string; values: Value[]; log: boolean };
  mean: number[];
  deviation: number[];
  trials: number;
  model: string;
}

export interface Diagnostic {
  slug: string;
  severity: 'error' | 'warning' | 'note';
  message: string;
  file?: string | null;
  line?: number | null;
  column?: number | null;
  end_line?: number | null;
  end_column?: number | null;
  expected?: string | null;
  help?: string[] | null;
  suggestion?: { text: string; start: number; end: number } | null;
}

export interface Checked {
  ok: boolean;
  items: Diagnostic[];
  plan: Plan | null;
}

export interface Plan {
  dialect: string;
  sampler: string;
  policy: string;
  metric: string | null;
  goal: string | null;
  max_total_runs: number;
  max_concurrent_runs: number;
  max_duration_minutes: number | null;
  targets: string[];
  parameters: { name: string; distribution: string; size: number | null }[];
  size: number | null;
}

export interface Target {
  name: string;
  type?: string;
  error?: string;
  slots?: number | null;
  description?: string;
  usage: {
    running: number;
    queued: number;
    wanted: number;
    sweeps: { sweep: string; experiment: string; state: string; running: number; max_concurrent_runs: number }[];
  };
  machine: { cores: number; memory_bytes: number | null; memory_free_bytes: number | null; devices: string[] } | null;
  /** Whatever else its kind has to tell. */
  [more: string]: unknown;
}

export interface TargetField {
  name: string;
  about: string;
  value: string | null;
  default: string | null;
  choices: string[];
  group: string | null;
  required: boolean;
  switch: boolean;
  many: boolean;
  secret: boolean;
  variable: string | null;
  file: string | null;
}

export interface TargetKind {
  verb: string;
  kind: string;
  about: string;
  fields: TargetField[];
}

export interface TargetProbe {
  name: string;
  ok: boolean;
  steps: { step: string; ok: boolean; needed: boolean; found: string; milliseconds: number }[];
}

export interface About {
  version: string;
  state_folder: string;
  project_folder: string;
  read_only: boolean;
}
