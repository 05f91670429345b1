import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { RankshiftError } from '../errors.ts';
import { patiently } from '../patience.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Channel } from './channel.ts';
import type { Credentials } from './credentials.ts';
import { encodeFrame, frameType } from './frame.ts';
import { guardConnections } from './guard-connections.ts';
import type { LivenessOptions } from './liveness.ts';
import { protocol, tcpOptions, tlsOptions } from './tls-options.ts';

/** More than any node needs; a bound for strangers who only connect. */
const mostConnections = 4096;

export interface ServeOptions extends LivenessOptions {
  /** @defaultValue all addresses */
  host?: string;
  /** 0 takes a free one. */
  port: number;
  credentials: Credentials;
  /** Called for each peer that showed a certificate of the cluster's CA; `channel.peer` says who it is. */
  onChannel(channel: Channel): void | Promise<void>;
  log: Logger;
  /** Milliseconds after which a peer that has not shown a good certificate is dropped. @defaultValue 10000 */
  handshakeMs?: number;
}

export interface ChannelServer {
  port: number;
  /** Stops listening and drops all channels. */
  close(): Promise<void>;
}

/**
 * Listens for channels. Who has no valid certificate of the cluster's CA gets nothing, not even a greeting.
 * @throws RankshiftError E_LINK where the port cannot be had.
 */
export async function serveChannel(options: ServeOptions): Promise<ChannelServer> {
  const { host, port, credentials, log, handshakeMs = patiently(10_000) } = options;
  const server = createServer({
    ...tlsOptions(credentials),
    ...tcpOptions,
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: handshakeMs,
    ALPNProtocols: [protocol],
  });
  server.maxConnections = mostConnections;
  server.on('tlsClientError', (error, socket) =>
    log.warn({ from: socket.remoteAddress, reason: error.message }, 'connection without a good certificate refused'),
  );
  const connections = guardConnections(server, handshakeMs);
  server.on('secureConnection', (socket) => accept(socket, options));
  server.listen({ port, ...(host === undefined ? {} : { host }) });
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new RankshiftError('E_LINK', `cannot listen on port ${port}: ${(cause as Error).message}`, {
      action: 'Free the port, or set another AgentPort on all nodes.',
      cause,
    });
  }
  server.on('error', (error) => log.error({ reason: error.message }, 'channel server'));
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

function accept(socket: TLSSocket, { onChannel, log, ...liveness }: ServeOptions): void {
  const name: unknown = socket.getPeerCertificate().subject?.CN;
  if (!socket.authorized || typeof name !== 'string' || socket.alpnProtocol !== protocol) {
    log.warn({ from: socket.remoteAddress, name }, 'connection refused');
    socket.on('error', () => undefined).destroy();
    return;
  }
  const channel = new Channel(socket, name, liveness);
  // The greeting: says that the certificate was accepted; see openChannel.
  socket.write(encodeFrame(frameType.ping));
  void channel.closed.then((reason) => log.debug({ peer: name, reason: reason?.message }, 'channel closed'));
  Promise.resolve()
    .then(() => onChannel(channel))
    .catch((error: unknown) => {
      log.warn({ peer: name, reason: (error as Error).message }, 'channel failed');
      channel.destroy(RankshiftError.from(error));
    });
}
