// What a model expects over two parameters, as a field of colours with the trials on top.
import { number, printable } from '../format';
import { m } from '../messages';
import type { Surface, Value } from '../types';
import { area, axes } from './axes';
import type { Model, Probe, Table } from './chart';
import type { Painter } from './painter';
import { type Scale, band, linear, logarithmic } from './scale';
import { type Theme, cividis } from './theme';

interface Axis {
  scale: Scale;
  numbers: number[] | null;
}

export class SurfaceModel implements Model {
  readonly name: string;
  private x: Axis | null = null;
  private y: Axis | null = null;

  constructor(
    readonly data: Surface,
    readonly what: 'mean' | 'deviation',
    readonly trials: { trial: number; x: Value; y: Value; best: number | null }[],
    readonly metric: string,
    readonly caption: string,
  ) {
    this.name = `${data.x.name} ${data.y.name} ${what}`;
  }

  private axis(part: Surface['x'], from: number, to: number): Axis {
    const numbers = part.values.every((value) => typeof value === 'number') ? (part.values as number[]) : null;
    if (!numbers || numbers.length < 3) return { scale: band(part.values.map((value) => number(value)), from, to), numbers: null };
    const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
    return { scale: part.log && low > 0 ? logarithmic(low, high, from, to) : linear(low, high, from, to), numbers };
  }

  private edges(axis: Axis, part: Surface['x'], from: number, to: number): number[] {
    const n = part.values.length;
    if (!axis.numbers) return Array.from({ length: n + 1 }, (_, i) => from + ((to - from) * i) / n);
    const centres = axis.numbers.map((value) => axis.scale.at(value));
    return [from, ...centres.slice(1).map((centre, i) => (centre + centres[i]!) / 2), to];
  }

  draw(painter: Painter, theme: Theme): void {
    const box = area(painter.width, painter.height, 84);
    box.width -= 70;
    const values = this.data[this.what];
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const [right, bottom] = [box.left + box.width, box.top + box.height];
    this.x = this.axis(this.data.x, box.left, right);
    this.y = this.axis(this.data.y, bottom, box.top);
    const xs = this.edges(this.x, this.data.x, box.left, right);
    const ys = this.edges(this.y, this.data.y, bottom, box.top);
    const n = this.data.x.values.length;
    axes(painter, theme, box, this.x.scale, this.y.scale, this.data.x.name, this.data.y.name);
    values.forEach((value, i) => {
      const [cx, cy] = [i % n, Math.floor(i / n)];
      const [r, g, b] = cividis((value - low) / (high - low || 1));
      // Whole pixels: no seams between cells.
      const [a, c] = [Math.round(xs[cx]!), Math.round(ys[cy + 1]!)];
      painter.rect(a, c, Math.round(xs[cx + 1]!) - a, Math.round(ys[cy]!) - c, `rgb(${r | 0},${g | 0},${b | 0})`);
    });
    painter.clip(box.left, box.top, box.width, box.height, () => {
      for (const trial of this.trials) {
        const [px, py] = [this.at(this.x!, this.data.x, trial.x), this.at(this.y!, this.data.y, trial.y)];
        if (Number.isNaN(px) || Number.isNaN(py)) continue;
        painter.mark('dot', px, py, 3, '#ffffff');
        painter.mark('ring', px, py, 3, '#000000');
      }
    });
    const steps = 40;
    for (let i = 0; i < steps; i++) {
      const [r, g, b] = cividis(1 - i / (steps - 1));
      painter.rect(right + 14, box.top + (box.height * i) / steps, 12, box.height / steps + 0.6, `rgb(${r | 0},${g | 0},${b | 0})`);
    }
    painter.text(number(high), right + 31, box.top + 6, theme.dim, { middle: true });
    painter.text(number(low), right + 31, bottom - 6, theme.dim, { middle: true });
  }

  private at(axis: Axis, part: Surface['x'], value: Value): number {
    if (axis.numbers) return typeof value === 'number' ? axis.scale.at(value) : NaN;
    const place = part.values.findIndex((other) => number(other) === number(value));
    return place < 0 ? NaN : axis.scale.at(place);
  }

  private cell(cx: number, cy: number): Probe | null {
    if (!this.x || !this.y) return null;
    const at = (axis: Axis, part: Surface['x'], i: number) => (axis.numbers ? axis.scale.at(part.values[i] as number) : axis.scale.at(i));
    const i = cy * this.data.x.values.length + cx;
    return {
      x: at(this.x, this.data.x, cx),
      y: at(this.y, this.data.y, cy),
      key: `${cx}.${cy}`,
      title: `${m.chart.mean} ${number(this.data.mean[i])}`,
      rows: [
        [printable(this.data.x.name, 40), number(this.data.x.values[cx])],
        [printable(this.data.y.name, 40), number(this.data.y.values[cy])],
        [m.chart.deviation, number(this.data.deviation[i])],
      ],
    };
  }

  private nearest(axis: Axis, part: Surface['x'], pixel: number): number {
    if (!axis.numbers) return Math.round(axis.scale.value(pixel));
    let best = 0;
    part.values.forEach((value, i) => {
      if (Math.abs(axis.scale.at(value as number) - pixel) < Math.abs(axis.scale.at(part.values[best] as number) - pixel)) best = i;
    });
    return best;
  }

  probe(px: number, py: number): Probe | null {
    if (!this.x || !this.y) return null;
    return this.cell(this.nearest(this.x, this.data.x, px), this.nearest(this.y, this.data.y, py));
  }

  walk(from: Probe | null, dx: number, dy: number): Probe | null {
    const [cx, cy] = from?.key?.split('.').map(Number) ?? [0, 0];
    return this.cell(
      Math.max(0, Math.min(this.data.x.values.length - 1, cx! + dx)),
      Math.max(0, Math.min(this.data.y.values.length - 1, cy! + dy)),
    );
  }

  table(): Table {
    const n = this.data.x.values.length;
    return {
      columns: [this.data.x.name, this.data.y.name, 'mean', 'deviation'],
      rows: this.data.mean.map((mean, i) => [this.data.x.values[i % n], this.data.y.values[Math.floor(i / n)], mean, this.data.deviation[i]]),
    };
  }
}
