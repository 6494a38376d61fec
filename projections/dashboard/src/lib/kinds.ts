import type { Kind } from './types';

export const KINDS: readonly Kind[] = ['http', 'tcp', 'dns', 'tls', 'heartbeat'];
export const RECORD_TYPES = ['A', 'AAAA', 'CAA', 'CNAME', 'MX', 'NS', 'PTR', 'SOA', 'SRV', 'TXT'] as const;
export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const;
