// Counts between edges.
import { number } from '../format';
import { m } from '../messages';
import { area, axes } from './axes';
import type { Model, Probe, Table } from './chart';
import type { Painter } from './painter';
import { type Scale, linear } from './scale';
import type { Theme } from './theme';

export class HistogramModel implements Model {
  private x: Scale | null = null;
  private y: Scale | null = null;

  constructor(
    readonly name: string,
    readonly caption: string,
    readonly edges: number[],
    readonly counts: number[],
  ) {}

  draw(painter: Painter, theme: Theme): void {
    const box = area(painter.width, painter.height);
    const most = Math.max(1, ...this.counts.filter(Number.isFinite));
    this.x = linear(this.edges[0] ?? 0, this.edges.at(-1) ?? 1, box.left, box.left + box.width);
    this.y = linear(0, most * 1.05, box.top + box.height, box.top);
    axes(painter, theme, box, this.x, this.y, m.logged.residual, m.logged.count);
    this.counts.forEach((count, i) => {
      const [left, right] = [this.x!.at(this.edges[i]!), this.x!.at(this.edges[i + 1]!)];
      const top = this.y!.at(count);
      if (Number.isFinite(left + right + top)) painter.rect(left + 0.5, top, Math.max(1, right - left - 1), box.top + box.height - top, theme.accent);
    });
  }

  private bin(i: number): Probe | null {
    const count = this.counts[i];
    if (count === undefined || !this.x || !this.y) return null;
    return {
      x: (this.x.at(this.edges[i]!) + this.x.at(this.edges[i + 1]!)) / 2,
      y: this.y.at(count),
      key: String(i),
      title: `${number(this.edges[i])} – ${number(this.edges[i + 1])}`,
      rows: [[m.logged.count, number(count)]],
    };
  }

  probe(px: number): Probe | null {
    if (!this.x) return null;
    const at = this.x.value(px);
    return this.bin(this.edges.findIndex((edge, i) => at >= edge && at < (this.edges[i + 1] ?? -Infinity)));
  }

  walk(from: Probe | null, dx: number, dy: number): Probe | null {
    const at = from?.key === undefined ? -1 : Number(from.key);
    return this.bin(Math.max(0, Math.min(this.counts.length - 1, at + (dx || dy))));
  }

  table(): Table {
    return { columns: ['from', 'to', 'count'], rows: this.counts.map((count, i) => [this.edges[i], this.edges[i + 1], count]) };
  }
}
