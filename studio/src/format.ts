// Numbers, durations, times and foreign text for people. Full precision stays in tooltips, copies and files.

/** Four significant digits; integers stay integers; NaN and infinities are named. */
export function number(value: unknown): string {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'string') return printable(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value !== 'number') return printable(JSON.stringify(value));
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return String(value);
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(3).replace(/\.?0+e/, 'e').replace('e+', 'e');
  return value.toPrecision(4);
}

/** `42 s`, `3:07`, `1:04:12`, `2 d 3 h`. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return '–';
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  if (seconds < 1 && ms > 0) return '<1 s';
  if (seconds < 60) return `${seconds} s`;
  const two = (n: number) => String(n).padStart(2, '0');
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86400)];
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  if (hours < 24) return `${hours}:${two(minutes % 60)}:${two(seconds % 60)}`;
  return `${days} d ${hours % 24} h`;
}

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let [value, unit] = [count, ''];
  for (const next of units) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return `${value.toPrecision(3)} ${unit}`;
}

export function count(value: number): string {
  return value.toLocaleString('en');
}

export function percent(share: number): string {
  return `${(share * 100).toPrecision(3)} %`;
}

/** Local time; with the date unless it is today. */
export function time(iso: string | null | undefined): string {
  if (!iso) return '–';
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return printable(iso);
  const two = (n: number) => String(n).padStart(2, '0');
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const now = new Date();
  if (at.toDateString() === now.toDateString()) return clock;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock}`;
}

/** Text from users and scripts with control and direction characters made visible. */
export function printable(text: string, limit = 2000): string {
  const shown = text.length > limit ? `${text.slice(0, limit)}…` : text;
  return shown.replace(
    // C0, DEL, C1, and the characters that reorder or hide what follows.
    /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Text of several lines with everything that hides made visible. */
export function lines(text: string): string {
  return text
    .split('\n')
    .map((line) => printable(line.replace(/\r$/, ''), 20_000).replaceAll('\\u0009', '    '))
    .join('\n');
}

/** Log text: lines stay lines, colours of terminals go, everything else that hides is shown. */
export function logText(text: string): string {
  return text
    .replace(/\u001b\[[0-9;:]*[A-Za-z]/g, '')
    .replace(/\r\n/g, '\n')
    .split('\n')
    .map((line) => {
      // A carriage return overwrites the line, as progress bars do.
      const last = line.lastIndexOf('\r');
      return printable(last >= 0 && last < line.length - 1 ? line.slice(last + 1) : line.replace(/\r/g, ''), 20_000).replace(/\\u0009/g, '    ');
    })
    .join('\n');
}

/** Parameters on one line, as one would type them. */
export function parameters(values: Record<string, unknown>, limit = 6): string {
  const entries = Object.entries(values);
  const shown = entries.slice(0, limit).map(([name, value]) => `${printable(name, 60)} ${number(value)}`);
  return entries.length > limit ? `${shown.join('  ')}  +${entries.length - limit}` : shown.join('  ');
}

export function shortId(id: string): string {
  return id.startsWith('HD_') ? `HD_${id.slice(3, 11)}` : id.slice(0, 14);
}

export function plural(n: number, one: string, many: string): string {
  return n === 1 ? `1 ${one}` : `${count(n)} ${many}`;
}
