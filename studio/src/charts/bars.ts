// Bars with their doubt: importance of parameters.
import { number, percent, printable } from '../format';
import type { Model, Probe, Table } from './chart';
import type { Painter } from './painter';
import type { Theme } from './theme';

export interface Bar {
  name: string;
  share: number;
  spread: number | null;
}

const ROW = 26;

export class BarsModel implements Model {
  private left = 120;
  private width = 100;
  constructor(
    readonly name: string,
    readonly caption: string,
    readonly bars: Bar[],
    readonly open: (name: string) => void,
  ) {}

  static height(count: number): number {
    return Math.max(60, count * ROW + 12);
  }

  draw(painter: Painter, theme: Theme): void {
    this.left = Math.min(170, Math.max(80, painter.width * 0.3));
    this.width = Math.max(40, painter.width - this.left - 96);
    const most = Math.max(1e-9, ...this.bars.map((bar) => bar.share + (bar.spread ?? 0)));
    this.bars.forEach((bar, i) => {
      const y = 6 + i * ROW;
      const length = (bar.share / most) * this.width;
      painter.text(printable(bar.name, 60), this.left - 8, y + ROW / 2, theme.text, { anchor: 'end', middle: true, max: this.left - 12, size: 12.5 });
      painter.rect(this.left, y + 5, Math.max(1, length), ROW - 10, theme.accent);
      if (bar.spread) {
        const [a, b] = [Math.max(0, bar.share - bar.spread), bar.share + bar.spread].map((v) => this.left + (v / most) * this.width);
        painter.line([a!, y + ROW / 2, b!, y + ROW / 2], { color: theme.text, width: 1.4 });
      }
      const end = this.left + ((bar.share + (bar.spread ?? 0)) / most) * this.width;
      painter.text(bar.spread === null ? percent(bar.share) : `${bar.share.toFixed(2)} ± ${bar.spread.toFixed(2)}`, end + 7, y + ROW / 2, theme.dim, { middle: true });
    });
  }

  private row(i: number): Probe | null {
    const bar = this.bars[i];
    if (!bar) return null;
    return {
      x: this.left + 20,
      y: 6 + i * ROW,
      key: bar.name,
      title: printable(bar.name, 80),
      rows: [['share', number(bar.share)], ...(bar.spread === null ? [] : [['±', number(bar.spread)] as [string, string]])],
      open: () => this.open(bar.name),
    };
  }

  probe(_x: number, y: number): Probe | null {
    return this.row(Math.floor((y - 6) / ROW));
  }

  walk(from: Probe | null, dx: number, dy: number): Probe | null {
    const at = from ? this.bars.findIndex((bar) => bar.name === from.key) : -1;
    return this.row(Math.max(0, Math.min(this.bars.length - 1, at + (dx || -dy))));
  }

  table(): Table {
    return { columns: ['parameter', 'share', 'spread'], rows: this.bars.map((bar) => [bar.name, bar.share, bar.spread]) };
  }
}
