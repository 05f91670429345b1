import { once } from 'node:events';
import { connect, type PeerCertificate, type TLSSocket } from 'node:tls';
import { RankshiftError } from '../errors.ts';
import { patiently } from '../patience.ts';
import { Channel } from './channel.ts';
import type { Credentials } from './credentials.ts';
import { cancelled } from './inbox.ts';
import type { LivenessOptions } from './liveness.ts';
import { protocol, tcpOptions, tlsOptions } from './tls-options.ts';

export interface OpenOptions extends LivenessOptions {
  /** Name that the other end's certificate must have. */
  node: string;
  /** IP address or host name under which it is reached. */
  address: string;
  port: number;
  credentials: Credentials;
  signal?: AbortSignal | undefined;
  /** Milliseconds until the channel is usable. @defaultValue 5000 */
  timeoutMs?: number | undefined;
}

/**
 * Opens a channel to a node. Resolves once that node has shown its certificate and accepted ours.
 * @throws RankshiftError E_LINK saying what failed (retryable where the network or a restart may be the cause);
 * E_TIMEOUT; E_CANCELLED.
 */
export async function openChannel(options: OpenOptions): Promise<Channel> {
  const { node, address, port, credentials, signal, timeoutMs = patiently(5000), pingMs, deadMs } = options;
  const socket = connect({
    ...tlsOptions(credentials),
    ...tcpOptions,
    host: address,
    port,
    servername: node,
    ALPNProtocols: [protocol],
    checkServerIdentity: (_host, certificate) => checkName(node, certificate),
  });
  const late = new RankshiftError(
    'E_TIMEOUT',
    `channel to ${node} (${address}:${port}): not open within ${timeoutMs} ms`,
    {
      retryable: true,
    },
  );
  const timer = setTimeout(() => socket.destroy(late), timeoutMs);
  const abort = (): void => void socket.destroy(cancelled(signal));
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    // In TLS 1.3 the client is done before the server has looked at its certificate: the first frame says it was accepted.
    await once(socket, 'secureConnect');
    await firstBytes(socket);
    return new Channel(socket, node, {
      ...(pingMs === undefined ? {} : { pingMs }),
      ...(deadMs === undefined ? {} : { deadMs }),
    });
  } catch (cause) {
    socket.destroy();
    throw cause instanceof RankshiftError ? cause : explain(cause as NodeJS.ErrnoException, options);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
  }
}

async function firstBytes(socket: TLSSocket): Promise<void> {
  const ended = once(socket, 'end').then(() => {
    throw Object.assign(new Error('it does not accept our certificate'), { code: 'ERR_TLS_CERT_REFUSED' });
  });
  ended.catch(() => undefined);
  // 'readable' also comes at the end of a stream, which is how a refusal looks from here.
  do await Promise.race([once(socket, 'readable'), ended]);
  while (socket.readableLength === 0);
}

function checkName(node: string, certificate: PeerCertificate): Error | undefined {
  const name = certificate.subject?.CN;
  if (name === node) return undefined;
  return Object.assign(new Error(`it is ${String(name)} that answers`), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
}

function explain(cause: NodeJS.ErrnoException, { node, address, port }: OpenOptions): RankshiftError {
  const code = cause.code ?? '';
  const where = `channel to ${node} (${address}:${port})`;
  if (code === 'ECONNREFUSED') {
    return new RankshiftError('E_LINK', `${where}: nobody listens there`, {
      action: `Check the agent on ${node}: systemctl status rankshift-agent`,
      retryable: true,
      cause,
    });
  }
  const certificate = /CERT|SSL|TLS|SIGNATURE|ISSUER/.test(code);
  return new RankshiftError('E_LINK', `${where}: ${certificate ? 'certificates do not agree: ' : ''}${cause.message}`, {
    retryable: !certificate,
    cause,
    ...(certificate ? { action: `Check the keys here and on ${node}: rankshift doctor; see docs/security.md.` } : {}),
  });
}
