// What a person prefers; kept in this browser only.
import { effect, signal } from '@preact/signals';

export interface Settings {
  theme: 'system' | 'light' | 'dark';
  density: 'comfortable' | 'compact';
  keys: boolean;
  price: number | null;
  currency: string;
}

const NAME = 'overdrive.settings';
const defaults: Settings = { theme: 'system', density: 'comfortable', keys: true, price: null, currency: 'EUR' };

function stored(): Settings {
  try {
    return { ...defaults, ...(JSON.parse(localStorage.getItem(NAME) ?? '{}') as Partial<Settings>) };
  } catch {
    return defaults;
  }
}

export const settings = signal<Settings>(stored());

const wantsDark = window.matchMedia('(prefers-color-scheme: dark)');
export const systemDark = signal(wantsDark.matches);
wantsDark.addEventListener('change', (event) => {
  systemDark.value = event.matches;
});

export function isDark(): boolean {
  const { theme } = settings.value;
  return theme === 'dark' || (theme === 'system' && systemDark.value);
}

effect(() => {
  document.documentElement.dataset.theme = isDark() ? 'dark' : 'light';
  document.documentElement.dataset.density = settings.value.density;
});

export function change(part: Partial<Settings>): void {
  settings.value = { ...settings.value, ...part };
  try {
    localStorage.setItem(NAME, JSON.stringify(settings.value));
  } catch {
    // Without storage the choice holds until the page is closed.
  }
}
