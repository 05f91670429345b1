import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Credentials } from '../channel/credentials.ts';
import { guardConnections } from '../channel/guard-connections.ts';
import { tlsOptions } from '../channel/tls-options.ts';
import { RankshiftError } from '../errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import { answerError, answerJson, answerStream } from './answer.ts';
import { authenticate, type Decode } from './authenticate.ts';
import { findRoute, type Route } from './route.ts';
import { answerUpgrade, type Conversation } from './upgrade.ts';

export interface ApiOptions {
  /** @defaultValue all addresses */
  host?: string;
  /** 0 takes a free one. */
  port: number;
  /** The controller's own. */
  credentials: Credentials;
  routes: readonly Route[];
  /** What is spoken in both directions. @defaultValue none */
  conversations?: readonly Conversation[];
  decode: Decode;
  log: Logger;
}

export interface ApiServer {
  port: number;
  /** Stops listening and drops all requests; streams see their signal abort. */
  close(): Promise<void>;
}

/** More than all users of a cluster need; a bound for those who only connect. */
const mostConnections = 1024;

/**
 * Serves the controller's API over HTTPS. Every request is made in the name of the user whom munge vouches for.
 * @throws RankshiftError E_SERVICE where the port cannot be had.
 */
export async function serveApi(options: ApiOptions): Promise<ApiServer> {
  const { host, port, credentials, log } = options;
  const limits = { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 1000, handshakeTimeout: 10_000 };
  const server = createServer({ ...tlsOptions(credentials), ...limits, noDelay: true }, (request, response) => {
    void answer(request, response, options);
  });
  server.on('upgrade', (request, stream, head) => {
    const { conversations = [], decode } = options;
    const toError = (error: unknown) => publicError(error, log, { method: 'GET', url: request.url });
    void answerUpgrade(request, stream, head, { conversations, decode }, toError);
  });
  server.maxConnections = mostConnections;
  server.on('tlsClientError', (error) => log.debug({ reason: error.message }, 'API: TLS handshake failed'));
  const connections = guardConnections(server, limits.handshakeTimeout);
  server.listen({ port, ...(host === undefined ? {} : { host }) });
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new RankshiftError('E_SERVICE', `cannot listen on port ${port}: ${(cause as Error).message}`, {
      action: 'Free the port, or set another ControllerPort on all nodes.',
      cause,
    });
  }
  server.on('error', (error) => log.error({ reason: error.message }, 'API server'));
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = once(server, 'close');
      server.close();
      connections.dropAll();
      await closed;
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, options: ApiOptions): Promise<void> {
  const { routes, decode, log } = options;
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  response.on('error', () => gone.abort());
  const { method = '', url = '' } = request;
  const toError = (error: unknown): RankshiftError => publicError(error, log, { method, url });
  try {
    const { pathname, searchParams } = parseUrl(url);
    const { route, params } = findRoute(routes, method, pathname);
    const { identity, body } = await authenticate(request, decode);
    log.debug({ method, url, uid: identity.uid }, 'API request');
    const query = Object.fromEntries(searchParams);
    const result = await route.handle({ identity, params, query, body: parseBody(body), signal: gone.signal });
    if (isAsyncIterable(result)) await answerStream(response, result, toError);
    else answerJson(response, 200, result as object);
  } catch (error) {
    const known = toError(error);
    if (!response.headersSent && !response.destroyed) answerError(response, known);
    else response.destroy();
  }
}

/** What a user may see of an error: faults of ours are for the log, under a number that he can name. */
function publicError(error: unknown, log: Logger, about: object): RankshiftError {
  if (error instanceof RankshiftError) return error;
  const number = randomUUID().slice(0, 8);
  log.error({ ...about, number, err: error }, 'API request failed');
  return new RankshiftError('E_INTERNAL', `the controller failed on this request; its log says why under ${number}`);
}

function parseUrl(url: string): URL {
  const parsed = URL.parse(url, 'https://controller');
  if (parsed === null) throw new RankshiftError('E_BAD_INPUT', 'the path of the request is malformed');
  return parsed;
}

function parseBody(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString());
  } catch (cause) {
    throw new RankshiftError('E_BAD_INPUT', 'the body of the request is not JSON', { cause });
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
