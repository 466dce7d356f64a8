// The page: what is around every view, and which view an address means.
import { effect, useSignal } from '@preact/signals';
import { render } from 'preact';
import { useEffect } from 'preact/hooks';
import './style/page.css';
import { get, signedOut } from './api';
import { time } from './format';
import { useKeys } from './keys';
import { link } from './live';
import { m } from './messages';
import { About, SettingsPage } from './pages/about';
import { Compare } from './pages/compare';
import { Compute } from './pages/compute';
import { Create } from './pages/create';
import { SweepPage } from './pages/sweep';
import { Sweeps } from './pages/sweeps';
import { TrialPage } from './pages/trial';
import { Palette, ShowKeys } from './parts/palette';
import { Questions, Toasts, Words } from './parts/ui';
import { address, go, path } from './router';
import { about } from './state';

function Banner() {
  const late = useSignal(false);
  const { open, since, asOf } = link.value;
  useEffect(() => {
    late.value = false;
    if (open) return;
    const timer = window.setTimeout(() => (late.value = true), Math.max(0, since + 3000 - Date.now()));
    return () => window.clearTimeout(timer);
  }, [open, since]);
  if (signedOut.value)
    return (
      <div class="banner bad" role="alert">
        <span>{m.signedOut}</span>
        <span><Words text={m.signedOutHelp} /></span>
      </div>
    );
  return (
    <div role="status" aria-live="polite">
      {!open && late.value && <div class="banner">{m.reconnecting(time(new Date(asOf).toISOString()))}</div>}
    </div>
  );
}

function Top() {
  const here = path.value;
  const item = (href: string, text: string, active: boolean) => (
    <li>
      <a href={href} aria-current={active ? 'page' : undefined}>{text}</a>
    </li>
  );
  return (
    <header class="top">
      <a class="brand" href="/">
        <svg width="22" height="22" viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="7" fill="#0072B2" />
          <path d="M5 25 L12 15 L17 18 L27 6" fill="none" stroke="#fff" stroke-width="3.4" stroke-linecap="round" stroke-linejoin="round" />
          <circle cx="27" cy="6" r="3" fill="#F0E442" />
        </svg>
        {m.product}
      </a>
      <nav aria-label={m.nav.main}>
        <ul>
          {item('/', m.nav.sweeps, here === '/' || here.startsWith('/sweeps'))}
          {item('/compare', m.nav.compare, here === '/compare')}
          {item('/compute', m.nav.compute, here.startsWith('/compute'))}
          {item('/settings', m.nav.settings, here === '/settings')}
          {item('/about', m.nav.about, here === '/about')}
        </ul>
      </nav>
      <div class="end">
        <a class="button primary small" href="/new">{m.nav.create}</a>
      </div>
    </header>
  );
}

function View() {
  const parts = path.value.split('/').filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  const [first, second, third, fourth, fifth] = parts;
  if (!first || (first === 'sweeps' && !second)) return <Sweeps />;
  if (first === 'sweeps' && second) {
    if (third === 'trials' || third === 'runs') {
      const trial = fourth === undefined ? NaN : Number(fourth);
      if (Number.isInteger(trial) && trial >= 0) return <TrialPage key={`${second}.${trial}`} sweep={second} trial={trial} tab={fifth ?? ''} />;
      return <SweepPage key={second} id={second} tab="trials" />;
    }
    return <SweepPage key={second} id={second} tab={third ?? ''} />;
  }
  if (first === 'compare') return <Compare />;
  if (first === 'new') return <Create />;
  if (first === 'compute') return <Compute name={second ?? null} />;
  if (first === 'settings') return <SettingsPage />;
  if (first === 'about') return <About />;
  return (
    <div class="empty">
      <p>{m.notFound}</p>
      <a href="/">{m.nav.sweeps}</a>
    </div>
  );
}

function App() {
  const keysShown = useSignal(false);
  const palette = useSignal(false);
  useKeys({
    '?': () => void (keysShown.value = true),
    'Ctrl-K': () => void (palette.value = true),
    'g s': () => go('/'),
    'g c': () => go('/compute'),
    'g n': () => go('/new'),
    '/': () => document.querySelector<HTMLElement>('input[type=search]')?.focus(),
    '.': () => document.querySelector<HTMLElement>('[data-menu]')?.click(),
    Escape: () => {
      const up = document.querySelector<HTMLAnchorElement>('[data-up]');
      if (up) go(up.href);
    },
  });
  return (
    <>
      <a class="skip" href="#content">{m.skip}</a>
      <Top />
      <Banner />
      <main id="content" tabIndex={-1}>
        <View />
      </main>
      <Questions />
      {keysShown.value && <ShowKeys onClose={() => (keysShown.value = false)} />}
      {palette.value && <Palette onClose={() => (palette.value = false)} />}
      <Toasts />
    </>
  );
}

effect(() => {
  // A new view begins at its title, also for those who listen.
  void address.value.pathname;
  document.title = m.product;
});

get<typeof about.value>('/about').then(
  (value) => (about.value = value),
  () => undefined,
);

const root = document.getElementById('app');
if (root) render(<App />, root);
