// Addresses as texts.

/** The parts of a path, if it has the form of the pattern: `:name` stands for one part. */
export function match(pattern: string, path: string): Record<string, string> | null {
  const wanted = pattern.split('/');
  const given = path.replace(/(.)\/$/, '$1').split('/');
  if (wanted.length !== given.length) return null;
  const found: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const value = given[index] ?? '';
    if (part.startsWith(':')) found[part.slice(1)] = value;
    else if (part !== value) return null;
  }
  return found;
}

/** Any origin: only whether an address stays within it counts. */
const BASE = 'https://here.invalid';

/** An address within the dashboard out of a parameter; never one of another origin. */
export function safeNext(next: string | null): string {
  if (next === null || !next.startsWith('/')) return '/monitors';
  const url = new URL(next, BASE);
  return url.origin === BASE ? url.pathname + url.search : '/monitors';
}
