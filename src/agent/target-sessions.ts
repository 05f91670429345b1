import type { Channel } from '../channel/channel.ts';
import { RankshiftError } from '../errors.ts';
import type { AgentAddress, ContainerFacts } from '../migration/commands.ts';
import type { PageServer } from '../pages/page-server.ts';
import type { Role } from './files.ts';

/** What arrives on the channels beside the control channel of one switch. */
export interface TargetSession {
  source: string;
  /** Of the source, as the order says. */
  address: string;
  facts: ContainerFacts;
  role: Role;
  upperDir: string;
  upperDone: Promise<void>;
  /** With what serves the restore where that has begun already. */
  pagesDone: Promise<PageServer | null>;
  takeUpper(work: Promise<void>): void;
  takePages(work: Promise<PageServer | null>): void;
  fail(error: RankshiftError): void;
}

export function newTargetSession(source: AgentAddress, role: Role, upperDir: string): TargetSession {
  const upper = Promise.withResolvers<void>();
  const pages = Promise.withResolvers<PageServer | null>();
  for (const { promise } of [upper, pages]) promise.catch(() => undefined);
  return {
    source: source.node,
    address: source.address,
    facts: role.facts,
    role,
    upperDir,
    upperDone: upper.promise,
    pagesDone: pages.promise,
    takeUpper: (work) => void work.then(upper.resolve, upper.reject),
    takePages: (work) => void work.then(pages.resolve, pages.reject),
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
