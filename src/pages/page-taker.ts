import { type PageServer, type PageServerOptions, pageServer } from './page-server.ts';
import type { PageStoreOptions } from './page-store.ts';
import { startServerProcess } from './server-process.ts';

const startMs = 10_000;
/** Of a whole move. */
const longestMs = 24 * 3_600_000;

export interface PageTaker {
  port: number;
  /** Resolves when there is room for what the source announced; never where it announces nothing. */
  reserved: Promise<void>;
  /** Resolves when a restore can begin: all came but what was left behind. */
  done: Promise<PageServer>;
  drop(): void;
}

/**
 * Takes what a PageSource sends, serves the restore, and takes what it left behind meanwhile: `rankshift-pages take`
 * (docs/pages.md). It ends with this process until `done`, and not any more from then on.
 */
export async function startPageTaker(options: Omit<PageStoreOptions, 'dir'> & PageServerOptions): Promise<PageTaker> {
  const { pages, address, ports, source, key, store, workDir, cgroup } = options;
  const args = ['take', store, workDir, cgroup, address, ...ports.map(String), source];
  const server = startServerProcess(pages, args, workDir);
  server.write(`${key}\n`);
  const port = Number(await server.line(/^\d+$/, startMs));
  const reserved = server.line(/"reserved"/, longestMs).then(() => undefined);
  const done = server.line(/"listening"/, longestMs).then(() => pageServer(server));
  for (const promise of [reserved, done]) promise.catch(() => undefined);
  return { port, reserved, done, drop: server.drop };
}
