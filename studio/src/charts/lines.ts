// A few lines with direct labels: metrics of a trial, trials compared, best so far of sweeps.
import { duration, number, printable } from '../format';
import { m } from '../messages';
import { area, axes, range } from './axes';
import type { Model, Probe, Table } from './chart';
import type { Painter } from './painter';
import { type Scale, linear, logarithmic } from './scale';
import { DASHES, type Theme } from './theme';

export interface Series {
  name: string;
  x: ArrayLike<number>;
  y: ArrayLike<number>;
  /** Place in the palette. */
  color?: number;
  steps?: boolean;
  open?: () => void;
}

export interface LinesOptions {
  name: string;
  caption: string;
  xName: string;
  yName: string;
  time?: boolean;
  logY?: boolean;
  goal?: string | null;
}

export class LinesModel implements Model {
  readonly name: string;
  readonly caption: string;
  private x: Scale | null = null;
  private y: Scale | null = null;

  constructor(
    readonly series: Series[],
    readonly options: LinesOptions,
  ) {
    this.name = options.name;
    this.caption = options.caption;
  }

  draw(painter: Painter, theme: Theme): void {
    const labelled = this.series.length > 1;
    const box = area(painter.width, painter.height);
    if (labelled) box.width = Math.max(60, box.width - 96);
    let [x0, x1] = [Infinity, -Infinity];
    const all: number[] = [];
    for (const { x, y } of this.series) {
      for (let i = 0; i < y.length; i++) {
        if (x[i]! < x0) x0 = x[i]!;
        if (x[i]! > x1) x1 = x[i]!;
        all.push(y[i]!);
      }
    }
    if (!all.length) {
      painter.text(m.chart.empty, painter.width / 2, painter.height / 2, theme.dim, { anchor: 'middle' });
      return;
    }
    const [y0, y1] = range(all);
    const whole = this.series.every(({ x }) => Array.prototype.every.call(x, Number.isInteger));
    this.x = linear(x0, x1, box.left, box.left + box.width, this.options.time ? 'time' : whole ? 'whole' : 'number');
    const positive = all.filter((v) => v > 0);
    this.y = this.options.logY && positive.length
      ? logarithmic(Math.min(...range(positive, 0, 0)), y1, box.top + box.height, box.top)
      : linear(y0, y1, box.top + box.height, box.top);
    axes(painter, theme, box, this.x, this.y, this.options.xName, this.options.yName);
    const labels: { y: number; text: string; color: string }[] = [];
    painter.clip(box.left, box.top - 4, box.width + 4, box.height + 8, () => {
      this.series.forEach((series, i) => {
        const place = series.color ?? i;
        const color = this.color(theme, place);
        painter.line(this.path(series), { color, width: 1.9, dash: DASHES[place % DASHES.length] });
        if (series.y.length <= 60 && !series.steps) {
          for (let k = 0; k < series.y.length; k++) {
            if (Number.isFinite(series.y[k])) painter.mark('dot', this.x!.at(series.x[k]!), this.y!.at(series.y[k]!), 2, color);
          }
        }
        const last = lastFinite(series.y);
        if (last >= 0) labels.push({ y: this.y!.at(series.y[last]!), text: series.name, color });
      });
    });
    if (labelled) {
      labels.sort((a, b) => a.y - b.y);
      let below = -Infinity;
      for (const label of labels.slice(0, Math.floor(box.height / 14))) {
        const y = Math.max(label.y, below + 14);
        below = y;
        painter.text(printable(label.text, 40), box.left + box.width + 8, y, label.color, { middle: true, max: 88, bold: true });
      }
    }
  }

  private color(theme: Theme, place: number): string {
    return theme.series[place % theme.series.length]!;
  }

  private path(series: Series): Float64Array {
    const points: number[] = [];
    let before = NaN;
    for (let i = 0; i < series.y.length; i++) {
      const [px, py] = [this.x!.at(series.x[i]!), Number.isFinite(series.y[i]) ? this.y!.at(series.y[i]!) : NaN];
      if (series.steps && i > 0) points.push(px, before);
      points.push(px, py);
      before = py;
    }
    return Float64Array.from(points);
  }

  private at(line: number, i: number): Probe | null {
    const series = this.series[line];
    if (!series || !this.x || !this.y || i < 0 || i >= series.y.length) return null;
    const [px, py] = [this.x.at(series.x[i]!), this.y.at(series.y[i]!)];
    const place = series.color ?? line;
    return {
      x: px,
      y: Number.isFinite(py) ? py : 20,
      key: `${line}.${i}`,
      title: printable(series.name, 80),
      rows: [
        [this.options.xName, this.options.time ? duration(series.x[i]!) : number(series.x[i]!)],
        [printable(this.options.yName, 60) || m.trial.value, number(series.y[i]!)],
      ],
      over: (painter, theme) => {
        painter.line([px, 10, px, painter.height - 40], { color: theme.line, dash: [3, 3] });
        if (Number.isFinite(py)) painter.mark('dot', px, py, 4.5, this.color(theme, place));
      },
      open: series.open,
    };
  }

  probe(px: number, py: number): Probe | null {
    let best: [number, number] | null = null;
    let distance = Infinity;
    this.series.forEach((series, line) => {
      if (!this.x || !this.y) return;
      for (let i = 0; i < series.y.length; i++) {
        const dx = this.x.at(series.x[i]!) - px;
        const dy = Number.isFinite(series.y[i]) ? this.y.at(series.y[i]!) - py : 60;
        const d = dx * dx * 4 + dy * dy;
        if (d < distance) {
          distance = d;
          best = [line, i];
        }
      }
    });
    return best ? this.at(best[0], best[1]) : null;
  }

  walk(from: Probe | null, dx: number, dy: number): Probe | null {
    const [line, i] = from?.key?.split('.').map(Number) ?? [0, -1];
    if (dy !== 0) {
      const next = (line! - dy + this.series.length) % this.series.length;
      return this.at(next, Math.min(Math.max(0, i!), (this.series[next]?.y.length ?? 1) - 1));
    }
    return this.at(line!, Math.max(0, Math.min((this.series[line!]?.y.length ?? 1) - 1, i! + dx)));
  }

  table(): Table {
    const rows: unknown[][] = [];
    for (const series of this.series) for (let i = 0; i < series.y.length; i++) rows.push([series.name, series.x[i], series.y[i]]);
    return { columns: ['series', this.options.xName, this.options.yName || 'value'], rows };
  }
}

function lastFinite(values: ArrayLike<number>): number {
  for (let i = values.length - 1; i >= 0; i--) if (Number.isFinite(values[i])) return i;
  return -1;
}
