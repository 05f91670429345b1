import type { Duplex } from 'node:stream';
import type { Channel } from '../channel/channel.ts';
import type { PageServer } from '../checkpoint/page-server.ts';
import { RankshiftError } from '../errors.ts';
import type { ContainerFacts } from '../migration/commands.ts';

/** What arrives on the channels beside the control channel of one switch. */
export interface TargetSession {
  source: string;
  pageServer: PageServer;
  facts: ContainerFacts;
  upperDir: string;
  upperDone: Promise<void>;
  pagesDone: Promise<void>;
  takeUpper(work: Promise<void>): void;
  takePages(stream: Duplex): void;
  fail(error: RankshiftError): void;
}

export function newTargetSession(
  source: string,
  pageServer: PageServer,
  facts: ContainerFacts,
  upperDir: string,
): TargetSession {
  const upper = Promise.withResolvers<void>();
  const pages = Promise.withResolvers<void>();
  for (const { promise } of [upper, pages]) promise.catch(() => undefined);
  return {
    source,
    pageServer,
    facts,
    upperDir,
    upperDone: upper.promise,
    pagesDone: pages.promise,
    takeUpper: (work) => void work.then(upper.resolve, upper.reject),
    takePages: (stream) => {
      const lost = () => pages.reject(new RankshiftError('E_LINK', `the page stream from ${source} broke`));
      stream.on('error', () => undefined);
      pageServer.socket.on('error', () => undefined);
      stream.pipe(pageServer.socket);
      pageServer.socket.pipe(stream);
      // The page server ends when it has everything; a stream that closes before broke.
      stream.on('close', () => {
        pageServer.socket.destroy();
        setTimeout(lost, 5000).unref();
      });
      pageServer.done.then(pages.resolve, pages.reject);
    },
    fail: (error) => {
      upper.reject(error);
      pages.reject(error);
    },
  };
}

/** A channel that belongs to a switch must come from the same node. */
export function checkPeer(session: TargetSession | undefined, channel: Channel): TargetSession {
  if (session === undefined || session.source !== channel.peer) {
    throw new RankshiftError('E_NOT_PERMITTED', `no switch from ${channel.peer} is under way here`);
  }
  return session;
}
