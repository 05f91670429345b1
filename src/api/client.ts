import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { PeerCertificate } from 'node:tls';
import { z } from 'zod';
import { controllerName } from '../channel/credentials.ts';
import { RankshiftError } from '../errors.ts';
import { mungeEncode } from '../slurm/munge.ts';
import { type ControllerAddress, connectionError } from './connection-error.ts';
import { authorizationScheme, credentialPayload, nonceHeader } from './credential-payload.ts';
import { Lines, linesProtocol } from './lines.ts';

const answerSchema = z.looseObject({ schema: z.number() });
const lineSchema = z.object({ schema: z.number(), data: z.unknown().optional(), error: z.unknown().optional() });

/** An answer's members; the caller reads them with its own schemas. */
export type Answer = Record<string, unknown>;

export interface AskOptions {
  /** Milliseconds until E_SERVICE; of a stream, until it begins. @defaultValue 60000 */
  timeoutMs?: number;
  signal?: AbortSignal;
}

export interface ClientOptions {
  /** Makes a credential; injected in tests. @defaultValue mungeEncode */
  encode?: (payload: string) => Promise<string>;
  /** Milliseconds of complete silence after which a stream is dead; it has a heartbeat of 10 s. @defaultValue 30000 */
  silenceMs?: number;
}

/**
 * Asks the controller in the name of the user who runs this process.
 * Every method throws RankshiftError: what the controller answered; E_SERVICE where it could not be asked;
 * E_BAD_CREDENTIAL; E_CONFIG without a readable ca.pem. A request is never sent twice.
 */
export class ApiClient {
  readonly #config: ControllerAddress;
  readonly #encode: (payload: string) => Promise<string>;
  readonly #silenceMs: number;

  constructor(config: ControllerAddress, { encode = mungeEncode, silenceMs = 30_000 }: ClientOptions = {}) {
    this.#config = config;
    this.#encode = encode;
    this.#silenceMs = silenceMs;
  }

  get(path: string, options: AskOptions = {}): Promise<Answer> {
    return this.#ask('GET', path, undefined, options);
  }

  post(path: string, body: unknown, options: AskOptions = {}): Promise<Answer> {
    return this.#ask('POST', path, body, options);
  }

  delete(path: string, options: AskOptions = {}): Promise<Answer> {
    return this.#ask('DELETE', path, undefined, options);
  }

  /** The elements of a streaming answer. Leaving the loop ends the request. */
  async *stream(path: string, options: AskOptions = {}): AsyncGenerator<unknown, void, undefined> {
    const response = await this.#send('GET', path, undefined, options);
    if (response.statusCode !== 200) throw await this.#refusal(response);
    const silent = new Error('it has gone silent');
    response.setTimeout(this.#silenceMs, () => response.destroy(silent));
    try {
      for await (const line of this.#lines(response)) {
        const parsed = lineSchema.safeParse(parseJson(line));
        if (!parsed.success) throw new RankshiftError('E_SERVICE', 'a line of the answer is not understood');
        if (parsed.data.error !== undefined) throw RankshiftError.from(parsed.data.error);
        yield parsed.data.data;
      }
    } finally {
      response.destroy();
    }
  }

  /** A conversation: its lines, once the controller has agreed to it. */
  async converse(path: string, options: AskOptions = {}): Promise<Lines> {
    const upgraded = Promise.withResolvers<Lines>();
    const response = await this.#send('GET', path, undefined, options, upgraded.resolve);
    if (response === null) return await upgraded.promise;
    throw await this.#refusal(response);
  }

  /** The lines of an answer; a stream that is cut off throws, so that it cannot pass for one that ended. */
  async *#lines(response: IncomingMessage): AsyncGenerator<string, void, undefined> {
    let held = '';
    try {
      response.setEncoding('utf8');
      for await (const chunk of response as AsyncIterable<string>) {
        const lines = (held + chunk).split('\n');
        held = lines.pop() ?? '';
        yield* lines.filter((line) => line !== '');
      }
    } catch (cause) {
      throw this.#explain(cause, undefined);
    }
  }

  async #ask(method: string, path: string, body: unknown, options: AskOptions): Promise<Answer> {
    const response = await this.#send(method, path, body, options);
    if (response.statusCode !== 200) throw await this.#refusal(response);
    const parsed = answerSchema.safeParse(parseJson(await this.#text(response)));
    if (parsed.success) return parsed.data;
    throw new RankshiftError('E_SERVICE', 'the answer of the controller is not understood', {
      action: 'Use the same version of rankshift here and on the management node.',
    });
  }

  async #send(method: string, path: string, value: unknown, options: AskOptions): Promise<IncomingMessage>;
  /** Null where the connection was upgraded. */
  async #send(
    method: string,
    path: string,
    value: unknown,
    options: AskOptions,
    upgraded: (lines: Lines) => void,
  ): Promise<IncomingMessage | null>;
  async #send(
    method: string,
    path: string,
    value: unknown,
    options: AskOptions,
    upgraded?: (lines: Lines) => void,
  ): Promise<IncomingMessage | null> {
    const body = value === undefined ? '' : JSON.stringify(value);
    const nonce = randomBytes(16).toString('hex');
    const credential = await this.#encode(credentialPayload(method, path, body, nonce));
    const { controllerHost: host, controllerPort: port } = this.#config;
    const { timeoutMs = 60_000, signal } = options;
    const answered = Promise.withResolvers<IncomingMessage | null>();
    const request = httpsRequest(
      {
        host,
        port,
        method,
        path,
        agent: false,
        ca: this.#authority(),
        minVersion: 'TLSv1.3',
        servername: controllerName,
        checkServerIdentity: (_host, certificate) => checkController(certificate),
        headers: {
          authorization: `${authorizationScheme} ${credential}`,
          [nonceHeader]: nonce,
          'content-length': Buffer.byteLength(body),
          ...(body === '' ? {} : { 'content-type': 'application/json' }),
          ...(upgraded === undefined ? {} : { connection: 'Upgrade', upgrade: linesProtocol }),
        },
        ...(signal === undefined ? {} : { signal }),
      },
      answered.resolve,
    );
    request.on('error', answered.reject);
    if (upgraded !== undefined)
      request.once('upgrade', (_response, stream, head) => {
        upgraded(new Lines(stream, head));
        answered.resolve(null);
      });
    request.end(body);
    const late = new RankshiftError('E_SERVICE', `the controller did not answer within ${timeoutMs} ms`);
    const timer = setTimeout(() => request.destroy(late), timeoutMs);
    try {
      return await answered.promise;
    } catch (cause) {
      throw this.#explain(cause, signal);
    } finally {
      clearTimeout(timer);
    }
  }

  async #refusal(response: IncomingMessage): Promise<RankshiftError> {
    const answer = parseJson(await this.#text(response)) as { error?: unknown } | undefined;
    if (answer?.error !== undefined) return RankshiftError.from(answer.error);
    return new RankshiftError('E_SERVICE', `the controller answered with HTTP status ${response.statusCode}`);
  }

  async #text(response: IncomingMessage): Promise<string> {
    try {
      response.setTimeout(this.#silenceMs, () => response.destroy(new Error('it has gone silent')));
      return await text(response);
    } catch (cause) {
      throw this.#explain(cause, undefined);
    }
  }

  #explain(cause: unknown, signal: AbortSignal | undefined): RankshiftError {
    if (cause instanceof RankshiftError) return cause;
    if (signal?.aborted)
      return new RankshiftError('E_CANCELLED', 'the request was cancelled', { action: 'Nothing.', cause });
    return connectionError(cause as NodeJS.ErrnoException, this.#config);
  }

  #authority(): string {
    const file = join(this.#config.keyDir, 'ca.pem');
    try {
      return readFileSync(file, 'utf8');
    } catch (cause) {
      throw new RankshiftError('E_CONFIG', `cannot read ${file}: ${(cause as Error).message}`, {
        action: 'Copy ca.pem of the cluster there, readable for all (0644, directory 0755).',
        cause,
      });
    }
  }
}

/** A node's certificate comes from the same CA; only the controller's own will do. */
function checkController(certificate: PeerCertificate): Error | undefined {
  const name = certificate.subject?.CN;
  if (name === controllerName) return undefined;
  return Object.assign(new Error(`it calls itself ${String(name)}`), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
