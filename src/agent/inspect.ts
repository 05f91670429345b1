import { ownProcessesOf } from '../container/cgroup.ts';
import { inspectProcesses } from '../container/inspect.ts';
import { RankshiftError } from '../errors.ts';
import type { AgentAddress, InspectResult } from '../migration/commands.ts';
import { samplePacking } from '../pages/sample-packing.ts';
import { sampleSoftDirty, sampleWrites } from '../pages/sample-writes.ts';
import type { AgentContext } from './context.ts';
import { directorySize } from './directory-size.ts';
import { readLocalContainer } from './files.ts';
import { linkTo } from './link.ts';
import { describeLocal, pagesProgramOf } from './local-handle.ts';
import { inspectionTurn } from './tracker-turns.ts';

/** Long enough to see an iteration of most programs, short enough to be waited for. */
const sampleMs = 200;

/** What a plan must know of a container here, and of the link to a target. Changes nothing. */
export async function inspect(
  context: AgentContext,
  container: string,
  target: AgentAddress | null,
): Promise<InspectResult> {
  const { config } = context;
  const local = await readLocalContainer(config, container);
  if (local === null) throw new RankshiftError('E_STALE', `${container} is not on ${context.node}`);
  const handle = await describeLocal(context, local.facts);
  // Without those of shells, which do not move.
  const pids = await ownProcessesOf(handle.cgroup);
  const [[found, writes, packings], upperBytes, link] = await Promise.all([
    inspectionTurn(context, container, async (mayTrack) => {
      const looked = await inspectProcesses(pids);
      // Only with a link to compare it with.
      if (target === null) return [looked, null, null] as const;
      const pages = pagesProgramOf(config);
      // Beside the other, which waits for the most part.
      const packing = samplePacking(pages, handle.cgroup).catch(() => null);
      if (!mayTrack) return [looked, null, await packing] as const;
      const sampling = sampleWrites(pages, handle.cgroup, sampleMs)
        .catch(() => sampleSoftDirty(pages, handle.cgroup, sampleMs))
        .catch(() => null);
      return [looked, ...(await Promise.all([sampling, packing]))] as const;
    }),
    directorySize(handle.upper),
    target === null ? null : linkTo(context, target).catch((error: Error) => error),
  ]);
  return {
    facts: local.facts,
    memoryBytes: found.memory.pssBytes,
    dirtyBytesPerSecond: writes?.writtenBytesPerSecond ?? null,
    packings,
    upperBytes,
    processes: pids.length,
    reasons: found.reasons.map(({ code, message }) => ({ code, message })),
    link: link instanceof Error ? null : link,
    shells: context.shells.of(container),
    linkError: link instanceof Error ? link.message : null,
  };
}
