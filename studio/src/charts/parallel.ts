// Parallel coordinates: one axis per parameter and the metric last; grey density of all, the best on top, brushes that filter.
import { number, printable } from '../format';
import { m } from '../messages';
import type { Points, Value } from '../types';
import type { Model, Probe, Table } from './chart';
import type { Painter } from './painter';
import { raster, rgb } from './raster';
import type { Scale } from './scale';
import { type AxisKind, type Layout, layout, scaleOf, shares } from './scatter';
import { type Theme, cividisCss, theme } from './theme';

/** A range on an axis, in units of the axis (places for words). */
export type Brush = Record<string, [number, number]>;

interface Axis {
  name: string;
  layout: Layout;
  scale: Scale | null;
  x: number;
  raw: (Value | null)[];
}

const LINES_MAX = 400;
const TOP = 34;
const BOTTOM = 24;

export class ParallelModel implements Model {
  readonly name: string;
  caption = '';
  private readonly axes: Axis[];
  private readonly color: Float64Array;
  private bitmap: ImageBitmap | null = null;
  private wanted = '';
  private use: Uint8Array;
  kept = 0;

  constructor(
    readonly points: Points,
    parameters: string[],
    readonly metric: string,
    readonly bestTrial: number | null,
    public brush: Brush,
    readonly redraw: () => void,
    readonly brushed: (brush: Brush) => void,
    readonly open: (trial: number) => void,
    kinds: Map<string, AxisKind> = new Map(),
    readonly highlighted: number[] = [],
  ) {
    this.name = `${m.sweep.tabs.params} ${metric}`;
    const columns = parameters.map((name) => ({ name, values: points.parameters[name] ?? [] }));
    columns.push({ name: metric, values: points.best });
    this.axes = columns.map((column) => ({ name: column.name, layout: layout(column, column.name === metric ? 'linear' : kinds.get(column.name)), scale: null, x: 0, raw: column.values }));
    this.color = shares(points.best, points.goal);
    this.use = new Uint8Array(points.trial.length);
    this.filter();
  }

  private filter(): void {
    const brushes = this.axes.flatMap((axis) => (this.brush[axis.name] ? [{ axis, range: this.brush[axis.name]! }] : []));
    this.kept = 0;
    for (let i = 0; i < this.points.trial.length; i++) {
      const inside = brushes.every(({ axis, range }) => {
        const value = axis.layout.numbers[i]!;
        return value >= range[0] && value <= range[1];
      });
      this.use[i] = inside ? 1 : 0;
      this.kept += inside ? 1 : 0;
    }
  }

  setBrush(brush: Brush): void {
    this.brush = brush;
    this.filter();
  }

  draw(painter: Painter, look: Theme): void {
    const height = painter.height - TOP - BOTTOM;
    const n = this.axes.length;
    const [left, right] = [54, painter.width - 54];
    this.axes.forEach((axis, i) => {
      axis.x = n === 1 ? (left + right) / 2 : left + ((right - left) * i) / (n - 1);
      axis.scale = scaleOf(axis.layout, TOP + height, TOP, axis.name === this.metric ? 0.01 : 0);
    });
    if (this.points.trial.length > LINES_MAX) {
      this.ask(right - left, height, look);
      if (this.bitmap) painter.image(this.bitmap, left, TOP, right - left, height);
    } else {
      for (let i = 0; i < this.points.trial.length; i++) {
        painter.line(this.path(i), { color: look.muted, width: 1, alpha: this.use[i] ? 0.55 : 0.1 });
      }
    }
    // The best twentieth in colour, at most 200 lines.
    const top: number[] = [];
    for (let i = 0; i < this.color.length; i++) if (this.use[i] && this.color[i]! >= 0.95) top.push(i);
    top.sort((a, b) => this.color[a]! - this.color[b]!);
    for (const i of top.slice(-200)) {
      const share = (this.color[i]! - 0.95) / 0.05;
      painter.line(this.path(i), { color: cividisCss(look.dark ? 0.5 + 0.5 * share : 0.75 * (1 - share)), width: 1.6, alpha: 0.9 });
    }
    this.highlighted.forEach((trial, place) => {
      const i = this.points.trial.indexOf(trial);
      if (i >= 0) painter.line(this.path(i), { color: look.series[place % look.series.length]!, width: 2.8 });
    });
    const best = this.bestTrial === null ? -1 : this.points.trial.indexOf(this.bestTrial);
    if (best >= 0 && this.use[best]) painter.line(this.path(best), { color: look.accent, width: 2.8 });
    this.axes.forEach((axis, i) => {
      painter.line([axis.x, TOP, axis.x, TOP + height], { color: look.line, width: 1.2 });
      painter.text(printable(axis.name, 40), axis.x, 16, look.text, { anchor: i === 0 ? 'middle' : i === n - 1 ? 'middle' : 'middle', bold: true, max: Math.max(50, (right - left) / Math.max(1, n - 1) - 8) });
      for (const tick of axis.scale!.ticks(Math.max(2, Math.floor(height / 44)))) {
        if (tick.at < TOP - 1 || tick.at > TOP + height + 1) continue;
        const size = Math.min(66, tick.text.length * 6.4 + 4);
        painter.rect(axis.x + 5, tick.at - 7, size, 14, look.ground, 0.72);
        painter.text(printable(tick.text, 30), axis.x + 7, tick.at, look.dim, { middle: true, max: 70 });
      }
      const brush = this.brush[axis.name];
      if (brush) {
        const [a, b] = this.brushPixels(axis, brush);
        painter.rect(axis.x - 7, Math.min(a, b), 14, Math.max(3, Math.abs(b - a)), look.accent, 0.4);
      }
    });
  }

  private brushPixels(axis: Axis, [low, high]: [number, number]): [number, number] {
    const half = axis.layout.words ? Math.abs(axis.scale!.at(1) - axis.scale!.at(0)) / 2 : 0;
    return [axis.scale!.at(low) + half, axis.scale!.at(high) - half];
  }

  private path(i: number): Float64Array {
    const points = new Float64Array(this.axes.length * 2);
    this.axes.forEach((axis, k) => {
      points[2 * k] = axis.x;
      const value = axis.layout.numbers[i]!;
      points[2 * k + 1] = Number.isNaN(value) ? NaN : axis.scale!.at(value);
    });
    return points;
  }

  private ask(width: number, height: number, look: Theme): void {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const key = JSON.stringify([width, height, look.dark, this.brush, this.points.trial.length, this.axes.length]);
    if (key === this.wanted) return;
    this.wanted = key;
    const n = this.axes.length;
    const values = new Float32Array(this.points.trial.length * n);
    const offsets = new Uint32Array(this.points.trial.length + 1);
    for (let i = 0; i < this.points.trial.length; i++) {
      this.axes.forEach((axis, k) => {
        const value = axis.layout.numbers[i]!;
        values[i * n + k] = Number.isNaN(value) ? NaN : 1 - (axis.scale!.at(value) - TOP) / height;
      });
      offsets[i + 1] = (i + 1) * n;
    }
    void raster({
      width: Math.max(1, Math.round(width * ratio)), height: Math.max(1, Math.round(height * ratio)), values, offsets, color: rgb(theme().muted),
      x: [0, n - 1], y: [0, 1], logY: false, every: 1, use: this.use.slice(), positions: Float32Array.from({ length: n }, (_, i) => i),
    }).then((done) => {
      if (key !== this.wanted) return;
      this.bitmap = done.bitmap;
      this.redraw();
    });
  }

  private axisAt(px: number): Axis | null {
    let found: Axis | null = null;
    for (const axis of this.axes) if (!found || Math.abs(axis.x - px) < Math.abs(found.x - px)) found = axis;
    return found && Math.abs(found.x - px) < 28 ? found : null;
  }

  drag(x0: number, y0: number, _x1: number, y1: number): void {
    const axis = this.axisAt(x0);
    if (!axis?.scale || Math.abs(y1 - y0) < 5) return;
    const [a, b] = [axis.scale.value(y0), axis.scale.value(y1)];
    this.brushed({ ...this.brush, [axis.name]: [Math.min(a, b), Math.max(a, b)] });
  }

  dragging(painter: Painter, look: Theme, x0: number, y0: number, _x1: number, y1: number): void {
    const axis = this.axisAt(x0);
    if (axis) painter.rect(axis.x - 7, Math.min(y0, y1), 14, Math.abs(y1 - y0), look.accent, 0.4);
  }

  press(px: number, py: number): void {
    const axis = this.axisAt(px);
    if (axis && this.brush[axis.name]) {
      const { [axis.name]: _gone, ...rest } = this.brush;
      this.brushed(rest);
      return;
    }
    this.probe(px, py)?.open?.();
  }

  private row(i: number, px: number, py: number): Probe {
    return {
      x: px,
      y: py,
      key: String(i),
      title: m.trial.title(this.points.trial[i]!),
      rows: this.axes.slice(-9).map((axis) => [printable(axis.name, 40), number(axis.raw[i])]),
      over: (painter, look) => painter.line(this.path(i), { color: look.text, width: 2.4 }),
      open: () => this.open(this.points.trial[i]!),
    };
  }

  probe(px: number, py: number): Probe | null {
    if (!this.axes[0]?.scale) return null;
    let k = this.axes.findIndex((axis) => axis.x >= px);
    if (k < 0) k = this.axes.length - 1;
    const [a, b] = [this.axes[Math.max(0, k - 1)]!, this.axes[k]!];
    const t = a === b ? 0 : (px - a.x) / (b.x - a.x);
    let found = -1;
    let distance = 12;
    for (let i = 0; i < this.points.trial.length; i++) {
      if (!this.use[i]) continue;
      const [va, vb] = [a.layout.numbers[i]!, b.layout.numbers[i]!];
      const y = a.scale!.at(va) * (1 - t) + b.scale!.at(vb) * t;
      const d = Math.abs(y - py);
      if (d < distance) {
        distance = d;
        found = i;
      }
    }
    return found < 0 ? null : this.row(found, px, py);
  }

  walk(from: Probe | null, dx: number, dy: number): Probe | null {
    const n = this.points.trial.length;
    if (!n) return null;
    let i = from?.key ? Number(from.key) : -1;
    for (let tries = 0; tries < n; tries++) {
      i = (i + (dx || dy) + n) % n;
      if (this.use[i]) return this.row(i, this.axes[0]!.x, TOP);
    }
    return null;
  }

  table(): Table {
    const rows: unknown[][] = [];
    this.points.trial.forEach((trial, i) => {
      if (this.use[i]) rows.push([trial, ...this.axes.map((axis) => axis.raw[i])]);
    });
    return { columns: ['trial', ...this.axes.map((axis) => axis.name)], rows };
  }

  /** The brush as a search expression, as far as one can say it. */
  expression(): string {
    const parts: string[] = [];
    for (const axis of this.axes) {
      const brush = this.brush[axis.name];
      if (!brush) continue;
      const bare = axis.name === this.metric ? 'best' : axis.name.replace(/^-+/, '');
      if (/[\s<>=!"]/.test(bare)) continue;
      if (axis.layout.words) {
        const inside = axis.layout.words.filter((_, i) => i >= brush[0] && i <= brush[1]);
        if (inside.length === 1 && !/\s/.test(inside[0]!)) parts.push(`${bare}=${inside[0]}`);
      } else parts.push(`${bare}>=${Number(brush[0].toPrecision(5))}`, `${bare}<=${Number(brush[1].toPrecision(5))}`);
    }
    return parts.join(' ');
  }
}
