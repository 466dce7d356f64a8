// Points of two columns: a parameter against the metric (slice), or two parameters coloured by the metric.
import { number, printable } from '../format';
import type { Parameter, Value } from '../types';
import { area, axes, range } from './axes';
import type { Model, Probe, Table } from './chart';
import type { Painter } from './painter';
import { type Scale, band, linear, logarithmic } from './scale';
import { type Theme, cividisCss } from './theme';

export interface Column {
  name: string;
  values: (Value | null)[];
}

/** How a column is laid out: numbers (logarithmic if they span decades) or words. */
export interface Layout {
  numbers: Float64Array;
  words: string[] | null;
  log: boolean;
}

/** What the space says about a parameter's axis; without it the values decide. */
export type AxisKind = 'log' | 'linear' | 'choice';

export function layout(column: Column, kind?: AxisKind): Layout {
  const { values } = column;
  const few = kind === 'choice' && new Set(values.filter((value) => value !== null).map((value) => JSON.stringify(value))).size <= 16;
  const numeric = !few && values.every((value) => value === null || typeof value === 'number' || value === 'NaN');
  const numbers = new Float64Array(values.length).fill(NaN);
  if (numeric) {
    let [low, high] = [Infinity, -Infinity];
    values.forEach((value, i) => {
      if (typeof value !== 'number') return;
      numbers[i] = value;
      low = Math.min(low, value);
      high = Math.max(high, value);
    });
    return { numbers, words: null, log: low > 0 && (kind ? kind === 'log' : high / low > 50) };
  }
  const places = new Map<string, number>();
  for (const value of values) if (value !== null) places.set(number(value), 0);
  const words = [...places.keys()].sort((a, b) => Number(a) - Number(b) || a.localeCompare(b));
  words.forEach((word, i) => places.set(word, i));
  values.forEach((value, i) => {
    if (value !== null) numbers[i] = places.get(number(value))!;
  });
  return { numbers, words, log: false };
}

/** Kinds of axes by the distributions of a space. */
export function kindsOf(parameters: Parameter[]): Map<string, AxisKind> {
  return new Map(
    parameters.map(({ name, distribution: d }) => [name, d.type === 'choice' ? 'choice' : d.type.includes('log') || d.log ? 'log' : 'linear'] as const),
  );
}

export function scaleOf(layout: Layout, from: number, to: number, cut = 0): Scale {
  if (layout.words) return band(layout.words.map((word) => printable(word, 24)), from, to);
  if (layout.log) {
    const [a, b] = range(layout.numbers, 0, 0);
    return logarithmic(a / 1.1, b * 1.1, from, to);
  }
  const [low, high] = range(layout.numbers, cut);
  return linear(low, high, from, to);
}

/** Rank shares of values, best = 1: colours stay apart however skewed the metric is. */
export function shares(values: (number | null)[], goal: string | null): Float64Array {
  const order = values.map((value, i) => [value, i] as const).filter((pair): pair is readonly [number, number] => typeof pair[0] === 'number');
  order.sort((a, b) => (goal === 'maximize' ? a[0] - b[0] : b[0] - a[0]));
  const out = new Float64Array(values.length).fill(NaN);
  order.forEach(([, i], rank) => (out[i] = order.length > 1 ? rank / (order.length - 1) : 1));
  return out;
}

export class ScatterModel implements Model {
  private x: Scale | null = null;
  private y: Scale | null = null;
  private readonly xs: Layout;
  private readonly ys: Layout;
  private readonly color: Float64Array;

  constructor(
    readonly name: string,
    readonly caption: string,
    readonly xColumn: Column,
    readonly yColumn: Column,
    readonly best: (number | null)[],
    readonly trial: number[],
    readonly state: number[],
    readonly goal: string | null,
    readonly metric: string,
    readonly bestTrial: number | null,
    readonly open: (trial: number) => void,
    kinds: Map<string, AxisKind> = new Map(),
  ) {
    const kind = (column: Column) => (column.name === metric ? 'linear' : kinds.get(column.name));
    this.xs = layout(xColumn, kind(xColumn));
    this.ys = layout(yColumn, kind(yColumn));
    this.color = shares(best, goal);
  }

  draw(painter: Painter, theme: Theme): void {
    const box = area(painter.width, painter.height, this.ys.words ? 84 : 58);
    this.x = scaleOf(this.xs, box.left + 4, box.left + box.width - 4);
    this.y = scaleOf(this.ys, box.top + box.height - 4, box.top + 4, this.yColumn.name === this.metric ? 0.02 : 0);
    axes(painter, theme, box, this.x, this.y, this.xColumn.name, this.yColumn.name);
    const many = this.trial.length > 3000;
    painter.clip(box.left, box.top - 3, box.width + 3, box.height + 6, () => {
      let bestIndex = -1;
      for (let i = 0; i < this.trial.length; i++) {
        const [px, py] = this.place(i);
        if (Number.isNaN(px) || Number.isNaN(py)) continue;
        if (this.trial[i] === this.bestTrial) bestIndex = i;
        const share = this.color[i]!;
        // Dark ends of the scale vanish on a dark ground, bright ones on a light ground.
        const color = Number.isNaN(share) ? theme.muted : cividisCss(theme.dark ? 0.3 + 0.7 * share : 0.82 * (1 - share));
        if (many) painter.rect(px - 1, py - 1, 2, 2, color);
        else if (this.state[i] === 2) painter.mark('square', px, py, 2.8, color, 0.9);
        else if (this.state[i] === 0) painter.mark('ring', px, py, 3.2, theme.live);
        else painter.mark('dot', px, py, 3.2, color, 0.9);
      }
      if (bestIndex >= 0) {
        const [px, py] = this.place(bestIndex);
        painter.mark('triangle', px, py, 6, theme.accent);
      }
    });
  }

  /** Pixel of a point; words are spread a little, the same way each time. */
  private place(i: number): [number, number] {
    const spread = (layout: Layout, scale: Scale, salt: number) => {
      const at = scale.at(layout.numbers[i]!);
      if (!layout.words) return at;
      const width = Math.abs(scale.at(1) - scale.at(0)) || 20;
      const shake = ((((i + 1) * 2654435761 + salt) >>> 0) % 1000) / 1000 - 0.5;
      return at + shake * Math.min(width * 0.6, 26);
    };
    return [spread(this.xs, this.x!, 7), spread(this.ys, this.y!, 999)];
  }

  private point(i: number): Probe {
    const [px, py] = this.place(i);
    const rows: [string, string][] = [[printable(this.xColumn.name, 40), number(this.xColumn.values[i])]];
    if (this.yColumn.name !== this.metric) rows.push([printable(this.yColumn.name, 40), number(this.yColumn.values[i])]);
    rows.push([printable(this.metric, 40), number(this.best[i])]);
    return {
      x: px,
      y: py,
      key: String(i),
      title: `trial ${this.trial[i]}`,
      rows,
      over: (painter, theme) => painter.mark('ring', px, py, 7, theme.text),
      open: () => this.open(this.trial[i]!),
    };
  }

  probe(px: number, py: number): Probe | null {
    if (!this.x || !this.y) return null;
    let found = -1;
    let distance = 400;
    for (let i = 0; i < this.trial.length; i++) {
      const [x, y] = this.place(i);
      const d = (x - px) ** 2 + (y - py) ** 2;
      if (d < distance) {
        distance = d;
        found = i;
      }
    }
    return found < 0 ? null : this.point(found);
  }

  walk(from: Probe | null, dx: number, dy: number): Probe | null {
    if (!this.trial.length) return null;
    const at = from?.key ? Number(from.key) : -1;
    return this.point(Math.max(0, Math.min(this.trial.length - 1, at + (dx || dy))));
  }

  table(): Table {
    const same = this.yColumn.name === this.metric;
    return {
      columns: ['trial', this.xColumn.name, ...(same ? [] : [this.yColumn.name]), this.metric],
      rows: this.trial.map((trial, i) => [trial, this.xColumn.values[i], ...(same ? [] : [this.yColumn.values[i]]), this.best[i]]),
    };
  }
}
