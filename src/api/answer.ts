import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { RankshiftError } from '../errors.ts';
import { httpStatus } from './http-status.ts';
import { apiSchema } from './route.ts';

/** A stream that has nothing to say sends an empty line this often, so that the client can tell quiet from dead. */
const heartbeatMs = 10_000;

/** Answers with one JSON object, the version of its shape in `schema`. */
export function answerJson(response: ServerResponse, status: number, value: object): void {
  const text = `${JSON.stringify({ schema: apiSchema, ...value })}\n`;
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    .end(text);
}

/** Answers with an error in the shape in which it crosses processes. */
export function answerError(response: ServerResponse, error: RankshiftError): void {
  response.setHeader('connection', 'close'); // what is left of the request's body must not be taken for the next one
  answerJson(response, httpStatus[error.code], { error });
}

/**
 * Answers with one JSON line `{schema, data}` per element; a failure on the way becomes a last line `{schema, error}`.
 * Takes the next element only when the client has room, and stops when the client goes away.
 */
export async function answerStream(
  response: ServerResponse,
  elements: AsyncIterable<unknown>,
  toError: (error: unknown) => RankshiftError,
): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' }).flushHeaders();
  const heartbeat = setInterval(() => response.writableLength === 0 && response.write('\n'), heartbeatMs);
  const gone = once(response, 'close');
  try {
    for await (const data of elements) {
      if (response.destroyed) return;
      const room = response.write(`${JSON.stringify({ schema: apiSchema, data })}\n`);
      if (!room) await Promise.race([once(response, 'drain'), gone]);
      if (response.destroyed) return;
    }
  } catch (error) {
    if (!response.destroyed) response.write(`${JSON.stringify({ schema: apiSchema, error: toError(error) })}\n`);
  } finally {
    clearInterval(heartbeat);
    response.end();
  }
}
