import type { IncomingMessage } from 'node:http';
import { RankshiftError } from '../errors.ts';
import type { MungeIdentity } from '../slurm/munge.ts';
import { authorizationScheme, credentialPayload, nonceHeader } from './credential-payload.ts';
import type { Identity } from './route.ts';

/** Largest body of a request. */
export const largestBodyBytes = 1024 * 1024;

/** What munge says about a credential; injected, so that tests need no munged. */
export type Decode = (credential: string) => Promise<MungeIdentity>;

/**
 * Reads the body of a request and establishes who sent it. The credential is looked at first, so that a stranger cannot
 * make us read a body.
 * @throws RankshiftError E_BAD_CREDENTIAL; E_BAD_INPUT where the body is too long; what `decode` throws.
 */
export async function authenticate(
  request: IncomingMessage,
  decode: Decode,
  { body: expected = true }: { body?: boolean } = {},
): Promise<{ identity: Identity; body: Buffer }> {
  const [scheme, credential] = (request.headers.authorization ?? '').split(' ');
  const nonce = request.headers[nonceHeader];
  if (scheme !== authorizationScheme || !credential || typeof nonce !== 'string' || nonce === '') {
    throw new RankshiftError('E_BAD_CREDENTIAL', 'the request carries no munge credential');
  }
  const { uid, gid, payload } = await decode(credential);
  const body = expected ? await readBody(request) : Buffer.alloc(0);
  if (payload !== credentialPayload(request.method ?? '', request.url ?? '', body, nonce)) {
    throw new RankshiftError('E_BAD_CREDENTIAL', 'the munge credential was made for another request');
  }
  return { identity: { uid, gid }, body };
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > largestBodyBytes) {
      throw new RankshiftError('E_BAD_INPUT', `the request is longer than ${largestBodyBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
