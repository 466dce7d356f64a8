// All learning curves: density of all from the worker, the few that matter as lines on top, where the policy stopped trials.
import { number, printable } from '../format';
import { m } from '../messages';
import type { Points, Real } from '../types';
import { area, axes, range } from './axes';
import type { Model, Probe, Table } from './chart';
import type { Painter } from './painter';
import { raster, rgb } from './raster';
import { type Scale, linear, logarithmic } from './scale';
import { type Theme, theme } from './theme';

/** State codes of the API's columns. */
export const LIVE = 0;

/** Curves by trial, growing while the sweep goes on. */
export class CurveSet {
  readonly place = new Map<number, number>();
  readonly trial: number[] = [];
  readonly state: number[] = [];
  /** As they came, or as a list that grows. */
  readonly values: (Float32Array | number[])[] = [];
  private packed: { values: Float32Array; offsets: Uint32Array } | null = null;
  private base: Float32Array | null = null;
  points = 0;
  longest = 0;

  static read(buffer: ArrayBuffer): CurveSet {
    const view = new DataView(buffer);
    const set = new CurveSet();
    if (buffer.byteLength < 16 || view.getUint32(0, false) !== 0x4f444356) return set;
    const [n, points] = [view.getUint32(8, true), view.getUint32(12, true)];
    const states = 16 + 4 * n;
    const offsets = states + Math.ceil(n / 4) * 4;
    const data = offsets + 4 * (n + 1);
    const values = new Float32Array(buffer, data, points);
    for (let i = 0; i < n; i++) {
      const [from, to] = [view.getUint32(offsets + 4 * i, true), view.getUint32(offsets + 4 * i + 4, true)];
      set.add(view.getUint32(16 + 4 * i, true), view.getUint8(states + i), values.subarray(from, to));
    }
    set.base = values;
    return set;
  }

  add(trial: number, state: number, values: Float32Array | number[]): void {
    this.changed();
    const known = this.place.get(trial);
    if (known !== undefined) {
      this.points += values.length - this.values[known]!.length;
      this.values[known] = values;
      this.state[known] = state;
    } else {
      this.place.set(trial, this.trial.length);
      this.trial.push(trial);
      this.state.push(state);
      this.values.push(values);
      this.points += values.length;
    }
    this.longest = Math.max(this.longest, values.length);
  }

  /** One more report; false if one is missing before it. */
  report(trial: number, seq: number, value: number): boolean {
    const known = this.place.get(trial);
    if (known === undefined) {
      if (seq !== 0) return false;
      this.add(trial, LIVE, [value]);
      return true;
    }
    let values = this.values[known]!;
    if (seq < values.length) {
      // The first point of a later attempt replaces what was there.
      if (seq === 0 && values.length > 1) {
        this.changed();
        this.points -= values.length - 1;
        this.values[known] = [value];
      }
      return true;
    }
    if (seq > values.length) return false;
    this.changed();
    if (!Array.isArray(values)) values = this.values[known] = Array.from(values);
    values.push(value);
    this.points += 1;
    this.longest = Math.max(this.longest, values.length);
    return true;
  }

  private changed(): void {
    this.packed = null;
    this.base = null;
  }

  /** All values one after the other; the same objects as long as nothing changed. */
  pack(): { values: Float32Array; offsets: Uint32Array } {
    if (this.packed) return this.packed;
    if (this.base) {
      const offsets = new Uint32Array(this.values.length + 1);
      this.values.forEach((curve, i) => (offsets[i + 1] = offsets[i]! + curve.length));
      this.packed = { values: this.base, offsets };
      return this.packed;
    }
    const values = new Float32Array(this.points);
    const offsets = new Uint32Array(this.values.length + 1);
    let at = 0;
    this.values.forEach((curve, i) => {
      values.set(curve, at);
      at += curve.length;
      offsets[i + 1] = at;
    });
    this.packed = { values, offsets };
    return this.packed;
  }
}

/** A ready picture of more curves than a tab should hold. */
export interface Density {
  /** Curves there are, and those that were counted. */
  curves: number;
  drawn: number;
  window: [number, number, number, number];
  image: HTMLCanvasElement;
  highest: number;
}

export function readDensity(buffer: ArrayBuffer, color: [number, number, number]): Density | null {
  const view = new DataView(buffer);
  if (buffer.byteLength < 40 || view.getUint32(0, false) !== 0x4f44444e || view.getUint32(4, true) !== 2) return null;
  const [width, height] = [view.getUint32(8, true), view.getUint32(12, true)];
  const counts = new Uint16Array(buffer, 40, width * height);
  let highest = 0;
  for (const count of counts) if (count > highest) highest = count;
  const image = document.createElement('canvas');
  [image.width, image.height] = [width, height];
  const pixels = new ImageData(width, height);
  const scale = 205 / Math.log(1 + Math.max(6, highest));
  counts.forEach((count, i) => {
    if (!count) return;
    pixels.data.set(color, i * 4);
    pixels.data[i * 4 + 3] = Math.min(250, 40 + Math.log(1 + count) * scale);
  });
  image.getContext('2d')?.putImageData(pixels, 0, 0);
  const at = (i: number) => view.getFloat32(24 + 4 * i, true);
  return { curves: view.getUint32(16, true), drawn: view.getUint32(20, true), window: [at(0), at(1), at(2), at(3)], image, highest };
}

/** The curve that passes nearest to a place. */
export interface Near {
  trial: number | null;
  state: string | null;
  point: number;
  values: Real[];
  stop: [number | null, number | null] | null;
}

/** Where the curves are when there are too many for a tab. */
export interface Far {
  /** Trials there are. */
  count: number;
  picture(window: [number, number, number, number] | null, logY: boolean, width: number, height: number, every: number): Promise<Density | null>;
  nearest(x: number, y: number, logY: boolean): Promise<Near>;
}

export interface CurvesView {
  logY: boolean;
  zoom: [number, number, number, number] | null;
  selected: number[];
}

const RUNNING_MAX = 60;
const STOPS_MAX = 400;
const FULL_AFTER_MS = 80;
/** Curves of a first look, where the server counts them. */
const FIRST_LOOK = 10_000;
/** Pixels within which a curve counts as pointed at. */
const NEAR_PX = 40;

export class CurvesModel implements Model {
  readonly name: string;
  private x: Scale | null = null;
  private y: Scale | null = null;
  private bitmap: ImageBitmap | null = null;
  private made = '';
  private wanted = '';
  private timer = 0;
  private guessed: { key: string; window: [number, number, number, number] } | null = null;
  caption = '';

  constructor(
    public set: CurveSet,
    public metric: string,
    public redraw: () => void,
    public open: (trial: number) => void,
    public zoomed: (zoom: [number, number, number, number] | null) => void,
  ) {
    this.name = `${m.sweep.curvesTitle} ${metric}`;
  }

  goal: string | null = null;
  bestTrial: number | null = null;
  stops: Points['stops'] | null = null;
  view: CurvesView = { logY: false, zoom: null, selected: [] };
  density: Density | null = null;
  far: Far | null = null;
  /** Raised when the curves change. */
  version = 0;

  private window(): [number, number, number, number] {
    if (this.view.zoom) return this.view.zoom;
    if (this.far) return this.density?.window ?? [0, 1, 0, 1];
    const key = `${this.version}|${this.view.logY}|${this.bestTrial}|${this.goal}`;
    if (this.guessed?.key === key) return this.guessed.window;
    const sample: number[] = [];
    const every = Math.max(1, Math.ceil(this.set.points / 60_000));
    let skip = 0;
    for (const curve of this.set.values) for (const value of curve) if (skip++ % every === 0) sample.push(value);
    const few = this.set.trial.length < 30;
    let [low, high] = range(sample, few ? 0 : 0.01);
    if (this.view.logY) {
      const positive = sample.filter((value) => value > 0);
      [low, high] = range(positive, few ? 0 : 0.005, 0);
      low = Math.max(low, Number.MIN_VALUE);
    }
    // The best curve is never cut off.
    const best = this.bestTrial === null ? undefined : this.set.values[this.set.place.get(this.bestTrial) ?? -1];
    for (const value of best ?? []) {
      if (!Number.isFinite(value) || (this.view.logY && value <= 0)) continue;
      if (this.goal === 'maximize') high = Math.max(high, value);
      else low = Math.min(low, value);
    }
    this.guessed = { key, window: [0, Math.max(1, this.set.longest - 1), low, high] };
    return this.guessed.window;
  }

  draw(painter: Painter, look: Theme): void {
    const box = area(painter.width, painter.height);
    if (this.far) this.askFar(box.width, box.height);
    if (this.far ? !this.density : !this.set.points) {
      painter.text(this.far ? m.loading : m.chart.empty, painter.width / 2, painter.height / 2, look.dim, { anchor: 'middle' });
      return;
    }
    const [x0, x1, y0, y1] = this.window();
    this.x = linear(x0, x1, box.left, box.left + box.width, 'whole');
    this.y = this.view.logY ? logarithmic(y0, y1, box.top + box.height, box.top) : linear(y0, y1, box.top + box.height, box.top);
    axes(painter, look, box, this.x, this.y, m.chart.point, this.metric);
    painter.clip(box.left, box.top, box.width, box.height, () => {
      if (this.density) {
        const [d0, d1, e0, e1] = this.density.window;
        painter.image(this.density.image, this.x!.at(d0), this.y!.at(e1), this.x!.at(d1) - this.x!.at(d0), this.y!.at(e0) - this.y!.at(e1));
      } else if (this.set.trial.length <= 40) {
        this.set.values.forEach((curve) => painter.line(this.path(curve), { color: look.muted, width: 1, alpha: 0.75 }));
      } else {
        this.ask(box.width, box.height, [x0, x1], [y0, y1], look);
        if (this.bitmap) painter.image(this.bitmap, box.left, box.top, box.width, box.height);
      }
      this.highlights(painter, look);
    });
  }

  /** Has the worker draw the present window, at first coarsely if there is much to draw. */
  private ask(width: number, height: number, x: [number, number], y: [number, number], look: Theme): void {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const key = JSON.stringify([width, height, x, y, this.view.logY, this.version, look.dark, ratio]);
    if (key === this.wanted) return;
    this.wanted = key;
    const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
    const job = (every: number) => {
      const { values, offsets } = this.set.pack();
      return raster({ width: w, height: h, values, offsets, color: rgb(theme().muted), x, y, logY: this.view.logY, every, use: null, positions: null });
    };
    const take = (done: { bitmap: ImageBitmap | null }) => {
      if (key !== this.wanted) return;
      this.bitmap = done.bitmap;
      this.made = key;
      this.redraw();
    };
    const coarse = Math.ceil(this.set.points / 200_000);
    window.clearTimeout(this.timer);
    if (coarse > 1) {
      void job(coarse).then(take);
      this.timer = window.setTimeout(() => void job(1).then(take), FULL_AFTER_MS);
    } else void job(1).then(take);
  }

  /** Has the server count the present window: a part of the curves at first, then all. */
  private askFar(width: number, height: number): void {
    const far = this.far!;
    const key = JSON.stringify([this.view.zoom, this.view.logY, this.version, theme().dark, Math.round(width / 50)]);
    if (key === this.wanted) return;
    this.wanted = key;
    const [w, h] = [Math.max(64, Math.round(width)), Math.max(64, Math.round(height))];
    const look = (every: number) =>
      far.picture(this.view.zoom, this.view.logY, w, h, every).then(
        (density) => {
          if (key !== this.wanted || !density) return;
          this.density = density;
          if (every === 1) this.made = key;
          this.redraw();
        },
        () => undefined,
      );
    const every = Math.ceil(far.count / FIRST_LOOK);
    void (every > 1 && !this.density ? look(every).then(() => look(1)) : look(1));
  }

  get settled(): boolean {
    return this.made === this.wanted;
  }

  private path(curve: ArrayLike<number>): Float64Array {
    const points = new Float64Array(curve.length * 2);
    for (let i = 0; i < curve.length; i++) {
      points[2 * i] = this.x!.at(i);
      const value = curve[i]!;
      points[2 * i + 1] = Number.isFinite(value) && !(this.view.logY && value <= 0) ? this.y!.at(value) : NaN;
    }
    return points;
  }

  private highlights(painter: Painter, look: Theme): void {
    let running = 0;
    for (let i = this.set.trial.length - 1; i >= 0 && running < RUNNING_MAX; i--) {
      if (this.set.state[i] !== LIVE) continue;
      running += 1;
      const curve = this.set.values[i]!;
      painter.line(this.path(curve), { color: look.live, width: 1.5, dash: [5, 3] });
      if (curve.length === 1) painter.mark('dot', this.x!.at(0), this.y!.at(curve[0]!), 2.5, look.live);
    }
    const { stops } = this;
    if (stops) {
      const from = Math.max(0, stops.trial.length - STOPS_MAX);
      for (let i = from; i < stops.trial.length; i++) {
        const [at, value, threshold] = [this.x!.at(stops.interval[i]! - 1), stops.value[i], stops.threshold[i]];
        if (typeof threshold === 'number') painter.mark('bar', at, this.y!.at(threshold), 3, look.warn, 0.5);
        if (typeof value === 'number') painter.mark('square', at, this.y!.at(value), 2.6, look.warn, 0.9);
      }
    }
    this.view.selected.forEach((trial, i) => {
      const curve = this.set.values[this.set.place.get(trial) ?? -1];
      if (curve) painter.line(this.path(curve), { color: look.series[(i + 2) % look.series.length]!, width: 2.2 });
    });
    const best = this.bestTrial === null ? undefined : this.set.values[this.set.place.get(this.bestTrial) ?? -1];
    if (best) painter.line(this.path(best), { color: look.accent, width: 2.8 });
  }

  private at(i: number, step: number): Probe | null {
    const curve = this.set.values[i];
    if (!curve || !this.x || !this.y) return null;
    const at = Math.max(0, Math.min(curve.length - 1, step));
    const trial = this.set.trial[i]!;
    const value = curve[at]!;
    const [px, py] = [this.x.at(at), this.y.at(value)];
    const rows: [string, string][] = [
      [printable(this.metric, 40), number(value)],
      [m.chart.point, `${at + 1} / ${curve.length}`],
    ];
    const stop = this.stops ? this.stops.trial.indexOf(trial) : -1;
    if (stop >= 0) rows.push([m.chart.legendStop, `${number(this.stops!.value[stop])} ↔ ${number(this.stops!.threshold[stop])}`]);
    return {
      x: px,
      y: py,
      key: `${i}.${at}`,
      title: `${m.trial.title(trial)}${trial === this.bestTrial ? ` ▲ ${m.sweep.best}` : ''}`,
      rows,
      over: (painter, look) => {
        const box = area(painter.width, painter.height);
        painter.clip(box.left, box.top, box.width, box.height, () => {
          painter.line(this.path(curve), { color: look.text, width: 2 });
          painter.mark('dot', px, py, 4, look.text);
        });
      },
      open: () => this.open(trial),
    };
  }

  probe(px: number, py: number): Probe | null {
    if (!this.x || !this.y) return null;
    const step = Math.round(this.x.value(px));
    let found = -1;
    let distance = NEAR_PX;
    for (let i = 0; i < this.set.values.length; i++) {
      const value = this.set.values[i]![step];
      if (value === undefined) continue;
      const d = Math.abs(this.y.at(value) - py);
      if (d < distance) {
        distance = d;
        found = i;
      }
    }
    return found < 0 ? null : this.at(found, step);
  }

  /** Asks the server for the curve under the pointer. */
  async seek(px: number, py: number): Promise<Probe | null> {
    const [x, y] = [this.x, this.y];
    if (!this.far || !x || !y) return null;
    const near = await this.far.nearest(Math.max(0, Math.round(x.value(px))), y.value(py), this.view.logY);
    if (near.trial === null) return null;
    const values = near.values.map((value) => (typeof value === 'number' ? value : NaN));
    if (Math.abs(y.at(values[near.point] ?? NaN) - py) > NEAR_PX) return null;
    const known = this.set.place.get(near.trial);
    // Only the last few are kept: they are there to be walked along.
    if (known === undefined && this.set.trial.length < 500) this.set.add(near.trial, near.state === 'Running' ? LIVE : 1, values);
    const probe = this.at(this.set.place.get(near.trial) ?? -1, near.point);
    if (probe && near.stop && !probe.rows.some(([name]) => name === m.chart.legendStop)) probe.rows.push([m.chart.legendStop, `${number(near.stop[0])} ↔ ${number(near.stop[1])}`]);
    return probe;
  }

  walk(from: Probe | null, dx: number, dy: number): Probe | null {
    if (!this.set.trial.length) return null;
    const start = this.bestTrial === null ? 0 : (this.set.place.get(this.bestTrial) ?? 0);
    const [i, step] = from?.key?.split('.').map(Number) ?? [start, -1];
    if (dy) return this.at((i! + dy + this.set.trial.length) % this.set.trial.length, Math.max(0, step!));
    return this.at(i!, Math.max(0, step! + dx));
  }

  drag(x0: number, y0: number, x1: number, y1: number): void {
    if (!this.x || !this.y) return;
    const [a, b] = [this.x.value(Math.min(x0, x1)), this.x.value(Math.max(x0, x1))];
    const [c, d] = [this.y.value(Math.max(y0, y1)), this.y.value(Math.min(y0, y1))];
    const wide = Math.abs(x1 - x0) > 12;
    const high = Math.abs(y1 - y0) > 12;
    const [w0, w1, w2, w3] = this.window();
    this.zoomed([wide ? Math.max(0, a) : w0, wide ? b : w1, high ? c : w2, high ? d : w3]);
  }

  dragging(painter: Painter, look: Theme, x0: number, y0: number, x1: number, y1: number): void {
    painter.rect(Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0), look.accent, 0.15);
  }

  table(): Table {
    const rows: unknown[][] = [];
    this.set.values.forEach((curve, i) => curve.forEach((value, at) => rows.push([this.set.trial[i], at + 1, value])));
    return { columns: ['trial', 'report', this.metric], rows };
  }
}
