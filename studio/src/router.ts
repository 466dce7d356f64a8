// The address is the state: path picks the view, the query string holds axes, brushes, filters, columns.
import { computed, signal } from '@preact/signals';

export const address = signal(new URL(window.location.href));

export const path = computed(() => address.value.pathname);
export const query = computed(() => address.value.searchParams);

/** Where the focus was when the view was left; null if that is of no matter. Undefined as long as the first view is shown. */
export let left: Element | null | undefined;

function leave(): void {
  const at = document.activeElement;
  left = at?.closest('dialog') ? null : at;
}

/** Goes to an address of the page. */
export function go(href: string, replace = false): void {
  const next = new URL(href, window.location.href);
  if (next.href === address.value.href) return;
  if (replace) history.replaceState(null, '', next);
  else history.pushState(null, '', next);
  const moved = next.pathname !== address.value.pathname;
  if (moved) leave();
  address.value = next;
  if (moved && !replace) window.scrollTo(0, 0);
}

/** Changes parts of the query string; null removes one. */
export function setQuery(changes: Record<string, string | null>, replace = true): void {
  const next = new URL(address.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') next.searchParams.delete(name);
    else next.searchParams.set(name, value);
  }
  go(next.href, replace);
}

export function sweepPath(sweep: string, tab = ''): string {
  return `/sweeps/${encodeURIComponent(sweep)}${tab ? `/${tab}` : ''}`;
}

export function trialPath(sweep: string, trial: number, tab = ''): string {
  return `${sweepPath(sweep)}/trials/${trial}${tab ? `/${tab}` : ''}`;
}

window.addEventListener('popstate', () => {
  leave();
  address.value = new URL(window.location.href);
});

// Links within the page need no load; those with a modifier or for another window stay links.
document.addEventListener('click', (event) => {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = (event.target as Element | null)?.closest?.('a');
  if (!link || link.target || link.hasAttribute('download')) return;
  const target = new URL(link.href, window.location.href);
  if (target.origin !== window.location.origin || target.pathname.startsWith('/api/')) return;
  if (target.hash && target.pathname === address.value.pathname) return;
  event.preventDefault();
  go(target.href);
});
