// From values to pixels and back, with ticks that people can read.
import { duration, number } from '../format';

export interface Tick {
  at: number;
  text: string;
}

export interface Scale {
  /** Pixel of a value. */
  at(value: number): number;
  /** Value of a pixel. */
  value(pixel: number): number;
  ticks(most: number): Tick[];
  low: number;
  high: number;
}

function step(span: number, most: number): number {
  const raw = span / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw));
  const lead = raw / power;
  return (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 2.5 ? 2.5 : lead <= 5 ? 5 : 10) * power;
}

export function linear(low: number, high: number, from: number, to: number, kind: 'number' | 'whole' | 'time' = 'number'): Scale {
  if (!(high > low)) [low, high] = [low - 0.5, low + 0.5];
  const at = (value: number) => from + ((value - low) / (high - low)) * (to - from);
  return {
    low,
    high,
    at,
    value: (pixel) => low + ((pixel - from) / (to - from)) * (high - low),
    ticks(most) {
      let by = kind === 'time' ? timeStep(high - low, most) : step(high - low, most);
      if (kind === 'whole') by = Math.max(1, Math.round(by));
      const ticks: Tick[] = [];
      for (let i = Math.ceil(low / by - 1e-9); i * by <= high + by * 1e-9 && ticks.length < 50; i++) {
        const value = Number((i * by).toPrecision(12));
        ticks.push({ at: at(value), text: kind === 'time' ? duration(value) : tickText(value, by) });
      }
      return ticks;
    },
  };
}

function tickText(value: number, by: number): string {
  const size = Math.abs(value);
  if (value === 0) return '0';
  if (size >= 1e6 || size < 1e-4) return value.toExponential(1).replace('.0e', 'e').replace('e+', 'e');
  const digits = Math.max(0, Math.min(8, -Math.floor(Math.log10(by) + 1e-9) + (Math.abs(by / 10 ** Math.floor(Math.log10(by)) - 2.5) < 1e-6 ? 1 : 0)));
  return value.toFixed(digits);
}

/** A round number without the zeros that say nothing. */
function short(value: number): string {
  return number(Number(value.toPrecision(4))).replace(/(\.\d*?)0+(?=e|$)/, '$1').replace(/\.(?=e|$)/, '');
}

function timeStep(span: number, most: number): number {
  const steps = [1e3, 2e3, 5e3, 1e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 108e5, 216e5, 432e5, 864e5];
  for (const candidate of steps) if (span / candidate <= most) return candidate;
  return step(span / 864e5, most) * 864e5;
}

export function logarithmic(low: number, high: number, from: number, to: number): Scale {
  if (!(low > 0)) low = high > 0 ? high / 1e3 : 1e-3;
  if (!(high > low)) [low, high] = [low / 2, low * 2];
  const [a, b] = [Math.log(low), Math.log(high)];
  const at = (value: number) => from + ((Math.log(Math.max(value, 1e-300)) - a) / (b - a)) * (to - from);
  return {
    low,
    high,
    at,
    value: (pixel) => Math.exp(a + ((pixel - from) / (to - from)) * (b - a)),
    ticks(most) {
      const decades = Math.log10(high / low);
      if (decades < 1) return linear(low, high, 0, 1).ticks(most).map((tick) => ({ at: at(low + tick.at * (high - low)), text: tick.text }));
      const every = Math.max(1, Math.ceil(decades / most));
      const ticks: Tick[] = [];
      const first = Math.ceil(Math.log10(low) - 1e-9);
      for (let power = first; 10 ** power <= high * (1 + 1e-9); power += every) {
        const between = decades < 2.5 && every === 1 ? [1, 2, 5] : [1];
        if (power === first && between.length > 1) {
          for (const lead of [2, 5]) {
            const value = (lead * 10 ** power) / 10;
            if (value >= low) ticks.push({ at: at(value), text: short(value) });
          }
        }
        for (const lead of between) {
          const value = lead * 10 ** power;
          if (value <= high * (1 + 1e-9)) ticks.push({ at: at(value), text: short(value) });
        }
      }
      return ticks;
    },
  };
}

export function band(names: string[], from: number, to: number): Scale {
  const n = Math.max(1, names.length);
  const at = (index: number) => from + ((index + 0.5) / n) * (to - from);
  return {
    low: 0,
    high: n - 1,
    at,
    value: (pixel) => Math.max(0, Math.min(n - 1, Math.floor(((pixel - from) / (to - from)) * n))),
    ticks(most) {
      const every = Math.max(1, Math.ceil(n / Math.max(1, most)));
      return names.map((text, i) => ({ at: at(i), text })).filter((_, i) => i % every === 0);
    },
  };
}
