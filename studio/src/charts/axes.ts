// The area inside the axes, and the axes.
import { printable } from '../format';
import type { Painter } from './painter';
import type { Scale } from './scale';
import type { Theme } from './theme';

export interface Area {
  left: number;
  top: number;
  width: number;
  height: number;
}

export function area(width: number, height: number, left = 58, bottom = 40): Area {
  return { left, top: 10, width: Math.max(10, width - left - 14), height: Math.max(10, height - bottom - 10) };
}

export function axes(painter: Painter, theme: Theme, box: Area, x: Scale | null, y: Scale | null, xName: string, yName: string): void {
  const right = box.left + box.width;
  const bottom = box.top + box.height;
  if (y) {
    for (const tick of y.ticks(Math.max(2, Math.floor(box.height / 45)))) {
      if (tick.at < box.top - 1 || tick.at > bottom + 1) continue;
      painter.line([box.left, tick.at, right, tick.at], { color: theme.grid });
      painter.text(printable(tick.text, 40), box.left - 7, tick.at, theme.dim, { anchor: 'end', middle: true, max: box.left - 18 });
    }
    if (yName) painter.text(printable(yName, 60), 11, box.top + box.height / 2, theme.dim, { anchor: 'middle', turn: true, max: box.height });
  }
  if (x) {
    const ticks = x.ticks(Math.max(2, Math.floor(box.width / 80)));
    for (const tick of ticks) {
      if (tick.at < box.left - 1 || tick.at > right + 1) continue;
      painter.line([tick.at, bottom, tick.at, bottom + 4], { color: theme.line });
      painter.text(printable(tick.text, 40), tick.at, bottom + 17, theme.dim, { anchor: 'middle', max: Math.max(40, box.width / Math.max(1, ticks.length) - 6) });
    }
    if (xName) painter.text(printable(xName, 80), box.left + box.width / 2, bottom + 34, theme.dim, { anchor: 'middle', max: box.width });
  }
  painter.line([box.left, box.top, box.left, bottom, right, bottom], { color: theme.line });
}

/** Range of finite numbers with a margin; robust ranges leave out the outermost share on either side. */
export function range(values: Iterable<number>, cut = 0, margin = 0.05): [number, number] {
  const finite: number[] = [];
  for (const value of values) if (Number.isFinite(value)) finite.push(value);
  if (finite.length === 0) return [0, 1];
  finite.sort((a, b) => a - b);
  const pick = (share: number) => finite[Math.round((finite.length - 1) * share)]!;
  const [low, high] = [pick(cut), pick(1 - cut)];
  const span = high - low || Math.abs(high) * 0.1 || 1;
  return [low - span * margin, high + span * margin];
}
