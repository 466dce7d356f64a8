// Best so far as a step line over the ended trials as marks.
import { duration, number } from '../format';
import { m } from '../messages';
import type { BestLine } from '../types';
import { area, axes, range } from './axes';
import type { Model, Probe, Table } from './chart';
import type { Painter } from './painter';
import { type Scale, linear } from './scale';
import type { Theme } from './theme';

export interface EndedTrial {
  trial: number;
  /** Trials ended before it, itself included. */
  order: number;
  ms: number;
  value: number;
  state: number;
}

const MARKS_MAX = 4000;

export class BestModel implements Model {
  readonly name: string;
  private x: Scale | null = null;
  private y: Scale | null = null;

  constructor(
    readonly line: BestLine,
    readonly ended: EndedTrial[],
    readonly by: 'trials' | 'time',
    readonly end: { ended: number; ms: number },
    readonly metric: string,
    readonly caption: string,
    readonly open: (trial: number) => void,
  ) {
    this.name = `${m.sweep.bestTitle} ${metric}`;
  }

  private xOf(order: number, ms: number): number {
    return this.by === 'time' ? ms : order;
  }

  draw(painter: Painter, theme: Theme): void {
    const box = area(painter.width, painter.height);
    if (!this.line.length) {
      painter.text(m.chart.empty, painter.width / 2, painter.height / 2, theme.dim, { anchor: 'middle' });
      return;
    }
    const last = this.line.at(-1)!;
    const right = Math.max(this.xOf(this.end.ended, this.end.ms), this.xOf(last[0], last[1]), this.by === 'time' ? 1000 : 1);
    this.x = linear(this.by === 'time' ? 0 : Math.min(1, right), right, box.left, box.left + box.width, this.by === 'time' ? 'time' : 'whole');
    // The line always fits; marks of hopeless trials may lie outside.
    const bests = this.line.map((point) => point[2]);
    const [r0, r1] = range(this.ended.map((trial) => trial.value), 0.05, 0);
    const [b0, b1] = range(bests, 0, 0);
    const [low, high] = this.ended.length ? [Math.min(r0, b0), Math.max(r1, b1)] : [b0, b1];
    const margin = (high - low || Math.abs(high) || 1) * 0.06;
    this.y = linear(low - margin, high + margin, box.top + box.height, box.top);
    axes(painter, theme, box, this.x, this.y, this.by === 'time' ? m.sweep.byTime : m.sweep.byTrials, this.metric);
    painter.clip(box.left, box.top - 4, box.width + 6, box.height + 8, () => {
      const every = Math.ceil(this.ended.length / MARKS_MAX) || 1;
      for (let i = 0; i < this.ended.length; i += every) {
        const trial = this.ended[i]!;
        const [px, py] = [this.x!.at(this.xOf(trial.order, trial.ms)), this.y!.at(trial.value)];
        if (trial.state === 2) painter.mark('square', px, py, 2.4, theme.warn, 0.7);
        else painter.mark('dot', px, py, 2.3, theme.muted, 0.75);
      }
      const points: number[] = [];
      let before = NaN;
      for (const [order, ms, value] of this.line) {
        const [px, py] = [this.x!.at(this.xOf(order, ms)), this.y!.at(value)];
        if (!Number.isNaN(before)) points.push(px, before);
        points.push(px, py);
        before = py;
      }
      points.push(this.x!.at(right), before);
      painter.line(points, { color: theme.accent, width: 2.2 });
      const px = this.x!.at(this.xOf(last[0], last[1]));
      painter.mark('triangle', px, before, 5, theme.accent);
    });
    const px = this.x.at(this.xOf(last[0], last[1]));
    const near = px > box.left + box.width - 90;
    painter.text(number(last[2]), near ? px - 8 : px + 9, this.y.at(last[2]) + (this.y.at(last[2]) < box.top + 24 ? 16 : -8), theme.text, { bold: true, anchor: near ? 'end' : 'start' });
  }

  private point(i: number): Probe | null {
    const found = this.line[i];
    if (!found || !this.x || !this.y) return null;
    const [px, py] = [this.x.at(this.xOf(found[0], found[1])), this.y.at(found[2])];
    return {
      x: px,
      y: py,
      key: `l${i}`,
      title: `${m.chart.legendBest} ${number(found[2])}`,
      rows: [[m.sweep.byTrials, String(found[0])], [m.sweep.byTime, duration(found[1])]],
      over: (painter, theme) => painter.mark('ring', px, py, 7, theme.accent),
    };
  }

  probe(px: number, py: number): Probe | null {
    if (!this.x || !this.y) return null;
    let nearest: EndedTrial | null = null;
    let distance = 14 * 14;
    for (const trial of this.ended) {
      const dx = this.x.at(this.xOf(trial.order, trial.ms)) - px;
      if (dx > 14 || dx < -14) continue;
      const dy = this.y.at(trial.value) - py;
      const d = dx * dx + dy * dy;
      if (d < distance) {
        distance = d;
        nearest = trial;
      }
    }
    if (nearest) {
      const trial = nearest;
      const [tx, ty] = [this.x.at(this.xOf(trial.order, trial.ms)), this.y.at(trial.value)];
      return {
        x: tx,
        y: ty,
        key: `t${trial.trial}`,
        title: m.trial.title(trial.trial),
        rows: [[this.metric, number(trial.value)], [m.sweep.byTrials, String(trial.order)], [m.sweep.byTime, duration(trial.ms)]],
        over: (painter, theme) => painter.mark('ring', tx, ty, 6, theme.text),
        open: () => this.open(trial.trial),
      };
    }
    const value = this.x.value(px);
    let i = -1;
    for (const point of this.line) {
      if (this.xOf(point[0], point[1]) <= value) i += 1;
      else break;
    }
    return this.point(Math.max(0, i));
  }

  walk(from: Probe | null, dx: number): Probe | null {
    const at = from?.key?.startsWith('l') ? Number(from.key.slice(1)) : -1;
    return this.point(Math.max(0, Math.min(this.line.length - 1, at + dx)));
  }

  table(): Table {
    return { columns: ['trials_ended', 'elapsed_ms', this.metric], rows: this.line.map((point) => [...point]) };
  }
}
