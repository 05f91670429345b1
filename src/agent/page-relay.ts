import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Carries CRIU's page stream between its socket and the raw channel to the target. */
export interface PageRelay {
  /** Bytes that went to the target. */
  bytes(): number;
  /** Breaks the stream: CRIU fails and leaves the container as it was. */
  close(): void;
}

export function relayPages(criu: Duplex, target: Duplex): PageRelay {
  let sent = 0;
  criu.on('data', (chunk: Buffer) => {
    sent += chunk.length;
  });
  const close = () => {
    criu.destroy();
    target.destroy();
  };
  // Either end that breaks takes the other with it.
  pipeline(criu, target).catch(close);
  pipeline(target, criu).catch(close);
  return { bytes: () => sent, close };
}
