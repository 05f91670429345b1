import type { Socket } from 'node:net';
import type { Server } from 'node:tls';

/**
 * Keeps strangers from using up a TLS server: whoever is not through the handshake at the deadline is dropped, also with
 * one half of the connection closed, which Node's own handshakeTimeout overlooks (seen with Node 26).
 */
export function guardConnections(server: Server, handshakeMs: number): { dropAll(): void } {
  const sockets = new Set<Socket>();
  const strangers = new Map<string, NodeJS.Timeout>();
  const forget = (from: string): void => {
    clearTimeout(strangers.get(from));
    strangers.delete(from);
  };
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };
  server.on('connection', (socket: Socket) => {
    track(socket);
    const from = endpoint(socket);
    const drop = setTimeout(() => socket.destroy(), handshakeMs);
    strangers.set(from, drop);
    socket.once('close', () => forget(from));
  });
  server.on('secureConnection', (socket) => {
    track(socket);
    forget(endpoint(socket));
  });
  return {
    dropAll: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Names a connection; its TLS socket and its TCP socket have the same. */
function endpoint({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
