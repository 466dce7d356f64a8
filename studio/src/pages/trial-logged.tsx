// What a script logged beyond numbers: tables, confusion matrices, accuracy tables, residuals, predictions. Its words are text, always.
import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { Chart } from '../charts/chart';
import { HistogramModel } from '../charts/histogram';
import { LinesModel } from '../charts/lines';
import { count, number, printable } from '../format';
import { m } from '../messages';
import { Copy } from '../parts/ui';
import type { TrialDetail } from '../types';
import { fileUrl } from './trial-files';

/** Things that are shown, and bytes of each. */
const SHOWN_MAX = 40;
const FEW = 4;
const BYTES_MAX = 4 << 20;
const ROWS_MAX = 500;
const COLUMNS_MAX = 60;

interface Grid {
  columns: string[];
  rows: unknown[][];
}

type Content = { kind: 'table'; grid: Grid } | { kind: 'document'; type: string; data: Record<string, unknown> };

interface Thing {
  name: string;
  path: string;
  text: string;
  content: Content;
}

/** Whether a file may hold something that is drawn here. */
function may(artifact: TrialDetail['artifacts'][number]): boolean {
  const last = artifact.path.split('/').pop() ?? '';
  return artifact.kind === 'table' || /\.(json|jsonl)$/i.test(last) || (artifact.kind === 'file' && !last.includes('.'));
}

export function Logged({ base, trial, few }: { base: string; trial: TrialDetail; few?: boolean }) {
  const things = useSignal<Thing[]>([]);
  const wanted = useMemo(() => {
    const latest = new Map(trial.artifacts.filter(may).map((artifact) => [artifact.path, artifact]));
    return [...latest.values()].slice(-(few ? FEW : SHOWN_MAX));
  }, [trial.artifacts.length, few]);
  const key = `${base}|${wanted.map((one) => one.path).join('|')}|${trial.ended ?? trial.reports}`;
  useEffect(() => {
    const stop = new AbortController();
    const load = async () => {
      const found: Thing[] = [];
      for (const artifact of wanted) {
        const response = await fetch(fileUrl(base, artifact.path), { credentials: 'same-origin', signal: stop.signal });
        if (!response.ok || Number(response.headers.get('content-length') ?? 0) > BYTES_MAX) continue;
        const text = await response.text();
        const content = read(artifact.path, text);
        if (content) found.push({ name: artifact.name, path: artifact.path, text, content });
      }
      things.value = found;
    };
    load().catch(() => undefined);
    return () => stop.abort();
  }, [key]);
  if (!things.value.length) return null;
  return (
    <section class="grid-even" aria-label={m.logged.title}>
      {things.value.map((thing) => (
        <div key={thing.path} class="panel">
          <Show thing={thing} />
        </div>
      ))}
    </section>
  );
}

/** What a file holds, if it is one of the forms that are drawn. */
export function read(path: string, text: string): Content | null {
  if (/\.jsonl$/i.test(path)) {
    const rows: Record<string, unknown>[] = [];
    for (const line of text.split('\n').slice(0, 20_000)) {
      const row = line.trim() ? parse(line) : null;
      if (row && typeof row === 'object' && !Array.isArray(row)) rows.push(row as Record<string, unknown>);
    }
    const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].slice(0, COLUMNS_MAX);
    return rows.length ? { kind: 'table', grid: { columns, rows: rows.map((row) => columns.map((column) => own(row, column))) } } : null;
  }
  const value = parse(text);
  if (!value || typeof value !== 'object' || Array.isArray(value)) return null;
  const document = value as Record<string, unknown>;
  const [type, data] = [own(document, 'schema_type'), own(document, 'data')];
  if (typeof type === 'string' && data && typeof data === 'object' && !Array.isArray(data)) return { kind: 'document', type, data: data as Record<string, unknown> };
  // Tables of other tools: names of columns, and rows.
  const columns = own(document, 'columns');
  if (Array.isArray(columns) && Array.isArray(data)) return { kind: 'table', grid: { columns: columns.slice(0, COLUMNS_MAX).map(String), rows: data.filter(Array.isArray) as unknown[][] } };
  return null;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

function own(value: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(value, name) ? value[name] : undefined;
}

function numbers(value: unknown): number[] {
  return Array.isArray(value) ? value.slice(0, 100_000).map((one) => (typeof one === 'number' ? one : NaN)) : [];
}

function Show({ thing }: { thing: Thing }) {
  const { content } = thing;
  const name = printable(thing.name, 120);
  const head = (
    <header>
      <h2 class="wrap">{name}</h2>
      <span class="dim">{content.kind === 'document' ? (m.logged.types[content.type] ?? printable(content.type, 40)) : m.logged.rows(count(content.grid.rows.length))}</span>
      <span class="end"><Copy text={thing.text} label={name} /></span>
    </header>
  );
  if (content.kind === 'table') return <>{head}<GridView grid={content.grid} name={name} /></>;
  const drawn = drawing(content.type, content.data, name);
  return (
    <>
      {head}
      {drawn ?? <div class="code" tabIndex={0} role="region" aria-label={name}>{printable(JSON.stringify(content.data, null, 2), 20_000)}</div>}
    </>
  );
}

function GridView({ grid, name }: { grid: Grid; name: string }) {
  return (
    <>
      <div class="scroll tall" tabIndex={0} role="region" aria-label={name}>
        <table class="plain">
          <thead><tr>{grid.columns.map((column, i) => <th key={i} scope="col">{printable(column, 80)}</th>)}</tr></thead>
          <tbody>
            {grid.rows.slice(0, ROWS_MAX).map((row, i) => (
              <tr key={i}>{grid.columns.map((_, j) => <td key={j} class={typeof row[j] === 'number' ? 'num' : ''} title={typeof row[j] === 'number' ? String(row[j]) : undefined}>{cell(row[j])}</td>)}</tr>
            ))}
          </tbody>
        </table>
      </div>
      {grid.rows.length > ROWS_MAX && <p class="note">{m.loadingOf(count(ROWS_MAX), count(grid.rows.length), 'rows')}</p>}
    </>
  );
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? printable(JSON.stringify(value), 200) : number(value);
}

function drawing(type: string, data: Record<string, unknown>, name: string) {
  if (type === 'confusion_matrix') {
    const matrix = own(data, 'matrix');
    const labels = own(data, 'class_labels');
    if (!Array.isArray(matrix)) return null;
    const rows = matrix.slice(0, COLUMNS_MAX).map(numbers);
    return <Confusion rows={rows} labels={rows.map((_, i) => printable(String(Array.isArray(labels) ? (labels[i] ?? i) : i), 60))} name={name} />;
  }
  if (type === 'accuracy_table') {
    const tables = own(data, 'probability_tables');
    const labels = own(data, 'class_labels');
    if (!Array.isArray(tables)) return null;
    const named = tables.slice(0, 12).map((table: unknown, i) => ({ label: printable(String(Array.isArray(labels) ? (labels[i] ?? i) : i), 40), rows: Array.isArray(table) ? table.map(numbers) : [] }));
    // Each row: true positives, false positives, true negatives, false negatives at one threshold.
    const line = (x: (row: number[]) => number, y: (row: number[]) => number) =>
      named.map(({ label, rows }, i) => {
        const points = rows.map((row): [number, number] => [x(row), y(row)]).filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b)).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
        return { name: label, color: i, x: points.map(([a]) => a), y: points.map(([, b]) => b) };
      });
    const share = (a: number, b: number) => (a + b > 0 ? a / (a + b) : NaN);
    const charts = [
      { title: m.logged.roc, x: m.logged.fpr, y: m.logged.tpr, series: line(([, fp, tn]) => share(fp!, tn!), ([tp, , , fn]) => share(tp!, fn!)) },
      { title: m.logged.pr, x: m.logged.tpr, y: m.logged.precision, series: line(([tp, , , fn]) => share(tp!, fn!), ([tp, fp]) => share(tp!, fp!)) },
    ];
    return (
      <>
        {charts.map((chart) => (
          <Chart key={chart.title} height={240} version={name} model={new LinesModel(chart.series, { name: `${name} ${chart.title}`, caption: `${chart.title}, ${m.logged.classes(named.length)}`, xName: chart.x, yName: chart.y })} toolbar={<h3>{chart.title}</h3>} />
        ))}
      </>
    );
  }
  const edges = numbers(own(data, 'bin_edges'));
  const counts = numbers(own(data, 'bin_counts'));
  if (type === 'residuals' && edges.length === counts.length + 1) {
    const facts = ['mean', 'stddev', 'res_count'].map((key) => [key, own(data, key)] as const).filter(([, value]) => typeof value === 'number');
    const caption = `${m.logged.types.residuals}: ${facts.map(([key, value]) => `${key} ${number(value)}`).join(', ')}`;
    return <Chart height={240} version={name} model={new HistogramModel(name, caption, edges, counts)} />;
  }
  const averages = numbers(own(data, 'bin_averages'));
  if (type === 'predictions' && averages.length && edges.length === averages.length + 1) {
    const errors = numbers(own(data, 'bin_errors'));
    const middle = averages.map((_, i) => (edges[i]! + edges[i + 1]!) / 2);
    const series = [
      { name: m.logged.predicted, color: 0, x: middle, y: averages },
      { name: m.logged.ideal, color: 5, x: [edges[0]!, edges.at(-1)!], y: [edges[0]!, edges.at(-1)!] },
      ...(errors.length === averages.length
        ? [
            { name: `+ ${m.logged.error}`, color: 3, x: middle, y: averages.map((value, i) => value + errors[i]!) },
            { name: `− ${m.logged.error}`, color: 3, x: middle, y: averages.map((value, i) => value - errors[i]!) },
          ]
        : []),
    ];
    return <Chart height={260} version={name} model={new LinesModel(series, { name, caption: m.logged.types.predictions!, xName: m.logged.actual, yName: m.logged.predicted })} />;
  }
  return null;
}

/** Rows are what was, columns what was said; each cell with its share of the row. */
function Confusion({ rows, labels, name }: { rows: number[][]; labels: string[]; name: string }) {
  const total = rows.flat().reduce((sum, value) => sum + (Number.isFinite(value) ? value : 0), 0);
  const right = rows.reduce((sum, row, i) => sum + (Number.isFinite(row[i]) ? row[i]! : 0), 0);
  return (
    <>
      <div class="scroll" tabIndex={0} role="region" aria-label={name}>
        <table class="plain confusion">
          <thead>
            <tr><th scope="col">{m.logged.confusionHead}</th>{labels.map((label, i) => <th key={i} scope="col" class="num">{label}</th>)}</tr>
          </thead>
          <tbody>
            {rows.map((row, i) => {
              const sum = row.reduce((a, value) => a + (Number.isFinite(value) ? value : 0), 0);
              return (
                <tr key={i}>
                  <th scope="row">{labels[i]}</th>
                  {labels.map((_, j) => {
                    const share = sum > 0 && Number.isFinite(row[j]) ? Math.max(0, row[j]! / sum) : 0;
                    return (
                      <td key={j} class={`num ${i === j ? 'strong' : ''}`} style={{ background: `color-mix(in srgb, var(--${i === j ? 'accent' : 'warn'}) ${Math.round(share * 30)}%, var(--panel))` }} title={`${Math.round(share * 1000) / 10} %`}>
                        {number(row[j])}
                      </td>
                    );
                  })}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      {total > 0 && <p class="note">{m.logged.right(number(right), number(total), number(Number((right / total).toPrecision(4))))}</p>}
    </>
  );
}
