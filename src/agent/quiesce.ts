import { constants } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processesOf } from '../container/cgroup.ts';
import { countRanks, largestShimPage, readShimPage, shimPageFile, shimWord } from '../container/shim-page.ts';
import { ownDirectory } from '../container/spec.ts';
import type { QuiesceResult } from '../migration/record.ts';
import type { AgentContext } from './context.ts';
import type { LocalHandle } from './local-handle.ts';

const pollMs = 2;
/** Ranks that compute, outside of MPI, are waited for so long only: what they would park for is at rest already. */
const computingMs = 100;
/** A rank that nobody releases goes on by itself so long after the deadline; until then the freeze has come. */
const marginMs = 1000;

/**
 * Asks the ranks of a running container to park at their next MPI call, and waits until they have, at most QuiesceMs.
 * They are released by `releaseRanks`; where nobody does, each goes on by itself soon after the deadline.
 */
export async function parkRanks(
  { config, log }: Pick<AgentContext, 'config' | 'log'>,
  handle: Pick<LocalHandle, 'rootfs' | 'cgroup'>,
): Promise<QuiesceResult> {
  const deadlineMs = config.quiesceMs;
  const started = performance.now();
  const result = (counts: { parked: number; inside: number; outside: number }): QuiesceResult => ({
    ...counts,
    waitedMs: performance.now() - started,
    deadlineMs,
  });
  const page = await openPage(handle.rootfs);
  if (page === null) return result({ parked: 0, inside: 0, outside: 0 });
  try {
    const alive = await containerPids(handle.cgroup);
    const ranksNow = async () => (await readPage(page))?.ranks.filter(({ pid }) => alive.has(pid)) ?? [];
    const before = await readPage(page);
    if (before === null || (await ranksNow()).length === 0) return result({ parked: 0, inside: 0, outside: 0 });
    await writeWord(page, shimWord.limitMs, deadlineMs + marginMs);
    await writeWord(page, shimWord.request, (Math.max(before.request, before.released) + 1) >>> 0);
    for (;;) {
      await sleep(pollMs);
      const counts = countRanks(await ranksNow());
      const waitedMs = performance.now() - started;
      const settled = counts.inside === 0 && (counts.outside === 0 || waitedMs >= computingMs);
      if (!settled && waitedMs < deadlineMs) continue;
      if (!settled) log.warn({ ...counts }, 'not all ranks parked in time; the move goes on without');
      return result(counts);
    }
  } finally {
    await page.close();
  }
}

/** Lets parked ranks go on, in a container that runs or is frozen. Idempotent; nothing where nobody was asked to park. */
export async function releaseRanks(rootfs: string): Promise<void> {
  const page = await openPage(rootfs);
  if (page === null) return;
  try {
    const now = await readPage(page);
    if (now !== null && now.released !== now.request) await writeWord(page, shimWord.released, now.request);
  } finally {
    await page.close();
  }
}

/** Share of a container's ranks that are inside of MPI calls now; null where they do not say. */
export async function shareInMpi(rootfs: string): Promise<number | null> {
  const page = await openPage(rootfs);
  if (page === null) return null;
  try {
    const ranks = (await readPage(page))?.ranks ?? [];
    return ranks.length === 0 ? null : ranks.filter(({ inside }) => inside > 0).length / ranks.length;
  } finally {
    await page.close();
  }
}

/** The file is the user's: no link is followed, and nothing but a plain file is touched. */
async function openPage(rootfs: string): Promise<FileHandle | null> {
  const { O_RDWR, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = join(rootfs, ownDirectory, shimPageFile);
  const page = await open(file, O_RDWR | O_NOFOLLOW | O_NONBLOCK).catch(() => null);
  if (page === null) return null;
  const found = await page.stat();
  if (found.isFile() && found.nlink === 1 && found.size <= largestShimPage) return page;
  await page.close();
  return null;
}

async function readPage(page: FileHandle) {
  const buffer = Buffer.alloc((await page.stat()).size);
  const { bytesRead } = await page.read(buffer, 0, buffer.length, 0);
  return readShimPage(buffer.subarray(0, bytesRead));
}

async function writeWord(page: FileHandle, at: number, value: number): Promise<void> {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(value);
  await page.write(word, 0, 4, at);
}

/** Processes of a container in its own numbers (proc_pid_status(5), NSpid). */
async function containerPids(cgroup: string): Promise<Set<number>> {
  const pids = await processesOf(cgroup);
  const texts = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')));
  return new Set(texts.map((text) => Number(/^NSpid:.*\s(\d+)$/m.exec(text)?.[1])));
}
