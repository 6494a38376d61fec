// What readers are told of an error: what it is, and what they can do.

import { ApiError } from './api';
import { t } from './strings';

export function explain(error: unknown): string {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  switch (error.status) {
    case 0:
      return t.error.offline;
    case 403:
      return t.error.forbidden;
    case 404:
      return t.error.notFound;
    case 409:
    case 412:
      return t.error.conflict;
    case 429:
      return t.error.limited(error.retryAfterSeconds ?? 60);
    case 502:
    case 503:
    case 504:
      return t.error.unavailable;
    default:
      return error.message;
  }
}

/** The API's messages by their fields: JSON pointers into the body that was sent. */
export function byField(error: unknown): Record<string, string> {
  if (!(error instanceof ApiError)) return {};
  return Object.fromEntries(error.violations.map(({ pointer, detail }) => [pointer, detail]));
}
