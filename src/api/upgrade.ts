import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { RankshiftError } from '../errors.ts';
import { answerError } from './answer.ts';
import { authenticate, type Decode } from './authenticate.ts';
import { Lines, linesProtocol } from './lines.ts';
import { type Identity, matchPath } from './route.ts';

/** A conversation in both directions that begins as a request. */
export interface Conversation {
  /** For example `/v1/containers/:id/shell`. */
  path: string;
  /** Looks whether it may be; what it throws is answered as to any request. Then it speaks over the lines. */
  open(identity: Identity, params: Readonly<Record<string, string>>): Promise<(lines: Lines) => Promise<void>>;
}

/** Answers a request for a conversation. Its munge credential covers method and path; what follows is TLS's to protect. */
export async function answerUpgrade(
  request: IncomingMessage,
  stream: Duplex,
  head: Buffer,
  { conversations, decode }: { conversations: readonly Conversation[]; decode: Decode },
  toError: (error: unknown) => RankshiftError,
): Promise<void> {
  stream.on('error', () => undefined);
  try {
    const path = URL.parse(request.url ?? '', 'https://controller')?.pathname.split('/') ?? [];
    const found = conversations.find((one) => matchPath(one.path.split('/'), path) !== undefined);
    const params = found === undefined ? undefined : matchPath(found.path.split('/'), path);
    if (found === undefined || params === undefined || request.headers.upgrade !== linesProtocol)
      throw new RankshiftError('E_BAD_INPUT', `the controller knows no conversation ${request.url}`, {
        action: 'Use a rankshift command of the same version as the controller.',
      });
    const { identity } = await authenticate(request, decode, { body: false });
    const speak = await found.open(identity, params);
    stream.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${linesProtocol}\r\n\r\n`);
    const lines = new Lines(stream, head);
    try {
      await speak(lines);
    } catch (error) {
      await lines.send({ error: toError(error) }).catch(() => undefined);
    } finally {
      lines.end();
    }
  } catch (error) {
    if (stream.destroyed) return;
    const response = new ServerResponse(request);
    response.assignSocket(stream as never);
    response.once('finish', () => stream.end());
    answerError(response, toError(error));
  }
}
