// Whether the server has the newer analytics: days, outages, latency percentiles, and figures beside lists. A server
// that has them names the position of the log in every uptime.

export const analytics = $state<{ has: boolean | null }>({ has: null });

export function learnFrom(uptime: object): boolean {
  analytics.has = 'position' in uptime;
  return analytics.has;
}
