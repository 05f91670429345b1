import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Carries CRIU's page stream from a loopback port, which runc's CRIU can connect to, into the channel to the target. */
export interface PageRelay {
  port: number;
  /** Bytes that went to the target. */
  bytes(): number;
  /** Breaks the stream: CRIU fails and leaves the container as it was. */
  close(): void;
}

/** Takes one connection from this host's root (CRIU), then listens no more. */
export async function openPageRelay(target: Duplex): Promise<PageRelay> {
  let local: Socket | null = null;
  let sent = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    if (local !== null) {
      socket.destroy();
      return;
    }
    local = socket;
    server.close();
    socket.on('data', (chunk: Buffer) => {
      sent += chunk.length;
    });
    socket.pipe(target);
    target.pipe(socket);
    const end = () => {
      socket.destroy();
      target.destroy();
    };
    socket.on('error', end);
    target.on('error', end);
    target.on('close', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    port,
    bytes: () => sent,
    close: () => {
      server.close();
      local?.destroy();
      target.destroy();
    },
  };
}
