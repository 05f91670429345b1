import { createHash } from 'node:crypto';

/** Scheme of the Authorization header. */
export const authorizationScheme = 'MUNGE';
/** Header with the random text that makes each request's payload its own. */
export const nonceHeader = 'rankshift-nonce';

const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');

/**
 * What a request's munge credential vouches for: SHA-256 (hex) over purpose, method, path with query, nonce and the hash
 * of the body. The credential fits this request only. None of the parts can hold a newline but the body, which is hashed.
 */
export function credentialPayload(method: string, path: string, body: string | Uint8Array, nonce: string): string {
  return sha256(['rankshift-api-1', method, path, nonce, sha256(body)].join('\n'));
}
