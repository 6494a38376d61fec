// The address of the page. Every state that a reader may want to keep or share stands in it.

export const address = $state<{ path: string; query: string }>({
  path: location.pathname,
  query: location.search,
});

addEventListener('popstate', read);

function read(): void {
  address.path = location.pathname;
  address.query = location.search;
}

export const currentPath = (): string => address.path + address.query;

export function navigate(to: string, options: { replace?: boolean; keepScroll?: boolean } = {}): void {
  if (to === location.pathname + location.search) return;
  if (options.replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  const moved = location.pathname !== address.path;
  read();
  if (moved && !options.keepScroll) scrollTo(0, 0);
}

export const parameters = (): URLSearchParams => new URLSearchParams(address.query);

/** Changes parameters of this page's address; an empty value removes one. */
export function setParameters(changes: Record<string, string>): void {
  const next = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === '') next.delete(name);
    else next.set(name, value);
  }
  const query = next.toString();
  navigate(location.pathname + (query === '' ? '' : `?${query}`), { replace: true, keepScroll: true });
}

/** Follows links within the dashboard without loading the document again. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  const link = (event.target as Element).closest('a');
  if (!link || link.target !== '' || link.hasAttribute('download') || link.origin !== location.origin) return;
  if (/^\/(api|docs|healthz|readyz|metrics)(\/|$)/.test(link.pathname)) return;
  event.preventDefault();
  navigate(link.pathname + link.search);
}
