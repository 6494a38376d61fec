// Something that a page loads and shows, with its loading and its failure.

import { get } from './api';
import type { Page } from './types';

export class Loaded<Value> {
  value = $state.raw<Value | null>(null);
  error = $state.raw<unknown>(null);

  constructor(readonly read: () => Promise<Value>) {
    void this.load();
  }

  load = async (): Promise<void> => {
    try {
      this.value = await this.read();
      this.error = null;
    } catch (error) {
      this.error = error;
    }
  };
}

/** All items of a list, page after page. */
export async function all<Item>(path: string): Promise<Item[]> {
  const found: Item[] = [];
  let cursor: string | null | undefined;
  do {
    const page: Page<Item> = await get(`${path}?limit=1000${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`);
    found.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor);
  return found;
}
