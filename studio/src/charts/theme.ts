// Colours of charts: series in a fixed order, cividis for values.
import { isDark } from '../settings';

export interface Theme {
  dark: boolean;
  ground: string;
  text: string;
  dim: string;
  line: string;
  grid: string;
  accent: string;
  live: string;
  warn: string;
  bad: string;
  muted: string;
  series: string[];
}

const light: Theme = {
  dark: false, ground: '#ffffff', text: '#15191e', dim: '#555e69', line: '#848c96', grid: '#e6e9ed', accent: '#0072B2', live: '#00687f', warn: '#B84A00', bad: '#b3261e', muted: '#707a85',
  series: ['#0072B2', '#B84A00', '#00785A', '#A3487D', '#8A5F00', '#000000'],
};
const dark: Theme = {
  dark: true, ground: '#171c21', text: '#e8ecf0', dim: '#a3adb8', line: '#7b8794', grid: '#28313a', accent: '#56B4E9', live: '#5fd0e0', warn: '#E69F00', bad: '#ff9a90', muted: '#8b97a3',
  series: ['#56B4E9', '#E69F00', '#009E73', '#CC79A7', '#F0E442', '#FFFFFF'],
};

export const DASHES: number[][] = [[], [6, 3], [2, 3], [8, 3, 2, 3], [1, 3], [10, 4]];

export function theme(): Theme {
  return isDark() ? dark : light;
}

const CIVIDIS: [number, number, number][] = [
  [0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115], [138, 134, 120], [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56],
];

/** Colour of a share 0..=1, dark to bright. */
export function cividis(share: number): [number, number, number] {
  const at = Math.max(0, Math.min(1, Number.isFinite(share) ? share : 0)) * (CIVIDIS.length - 1);
  const i = Math.min(CIVIDIS.length - 2, Math.floor(at));
  const [a, b] = [CIVIDIS[i]!, CIVIDIS[i + 1]!];
  const t = at - i;
  return [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t];
}

export function cividisCss(share: number): string {
  const [r, g, b] = cividis(share);
  return `rgb(${Math.round(r)},${Math.round(g)},${Math.round(b)})`;
}
